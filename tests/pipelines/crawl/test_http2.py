"""HTTP/2 with a server that offers it, and what is written of it."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pipelines.crawl.config import CrawlConfig
from pipelines.crawl.fetch import Exchange, Fetcher, FetchError
from pipelines.crawl.warc_writer import WarcWriter
from pipelines.sources.archive_outcomes import ArchiveReader
from pipelines.sources.record import Record


def _certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "h.test")])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("h.test"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(names, critical=False).add_extension(x509.BasicConstraints(True, 0), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    chain, secret = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    return chain, secret


class _Server:
    """Speaks HTTP/2 where the client offers it, else HTTP/1.1; one thread a connection."""

    def __init__(self, folder: Path, *protocols: str) -> None:
        chain, secret = _certificate(folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain, secret)
        context.set_alpn_protocols(list(protocols))
        self.trust = ssl.create_default_context(cafile=str(chain))
        self.headers: list[tuple[str, str]] = []
        self.spoken: list[str] = []
        self._context = context
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                plain, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(plain,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        try:
            with self._context.wrap_socket(plain, server_side=True) as stream:
                self.spoken.append(stream.selected_alpn_protocol() or "")
                (self._h2 if self.spoken[-1] == "h2" else self._h1)(stream)
        except OSError:
            return  # the client hung up

    def _h1(self, stream: ssl.SSLSocket) -> None:
        while stream.recv(65536):
            stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nplain")

    def _h2(self, stream: ssl.SSLSocket) -> None:
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        connection.initiate_connection()
        stream.sendall(connection.data_to_send())
        while data := stream.recv(65536):
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    fields = [(":status", "200"), ("content-type", "text/html"), *self.headers]
                    connection.send_headers(event.stream_id, fields)
                    connection.send_data(event.stream_id, b"<p>two", end_stream=True)
            stream.sendall(connection.data_to_send())

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[_Server]:
    found = _Server(tmp_path, *getattr(request, "param", ("h2", "http/1.1")))
    yield found
    found.close()


def _get(server: _Server, *urls: str, **fields: Any) -> list[Exchange]:
    values: dict[str, Any] = {
        "seeds": ["https://h.test/"], "delay": 0.0, "adaptive_delay": 0.0, "timeout": 5.0, "max_retries": 0,
        "connect_to": {"h.test": server.address},
    }  # fmt: skip

    async def run() -> list[Exchange]:
        async with Fetcher(CrawlConfig.model_validate({**values, **fields}), tls=server.trust) as fetcher:
            return [await fetcher.get(url) for url in urls]

    return asyncio.run(run())


def test_http2_where_it_is_offered(server: _Server, tmp_path: Path) -> None:
    server.headers = [("tdm-reservation", "1")]
    first, second = _get(server, "https://h.test/a", "https://h.test/b")
    assert server.spoken == ["h2"], "one connection for both"
    assert (first.version, first.status, first.body, second.body) == (b"HTTP/2", 200, b"<p>two", b"<p>two")
    writer = WarcWriter(tmp_path / "warc", "warc", [], 10**9)
    writer.write(first)
    writer.close()
    (record,) = ArchiveReader("a").read(writer.files[0])
    assert isinstance(record, Record)
    assert (record.body, record.rights.reservation) == (b"<p>two", "tdm-reservation: 1")
    import gzip

    text = gzip.decompress(writer.files[0].read_bytes())
    assert b"WARC-Protocol: h2\r\n" in text
    assert b"\r\n\r\nHTTP/1.1 200 \r\ncontent-type: text/html\r\n" in text


def test_switched_off(server: _Server) -> None:
    (exchange,) = _get(server, "https://h.test/", http2=False)
    assert (server.spoken, exchange.version, exchange.body) == (["http/1.1"], b"HTTP/1.1", b"plain")


@pytest.mark.parametrize("server", [("http/1.1",)], indirect=True)
def test_servers_without_it(server: _Server) -> None:
    (exchange,) = _get(server, "https://h.test/")
    assert (exchange.version, exchange.body) == (b"HTTP/1.1", b"plain")


def test_header_limit(server: _Server) -> None:
    for size in (72_000, 400_000):
        server.headers = [(f"x-{number}", "y" * 4000) for number in range(size // 4000)]
        with pytest.raises(FetchError) as caught:
            _get(server, "https://h.test/")
        assert caught.value.reason == "header-too-large", str(caught.value)

"""Remote repositories, from a server on this machine that speaks https with a certificate made for the test."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import threading
import time
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from dulwich import porcelain
from dulwich.repo import Repo
from dulwich.server import DictBackend
from dulwich.web import make_wsgi_chain

from pipelines.sources.code.clone import CloneError, bounded
from pipelines.sources.record import Record

from .conftest import WHO, Files, commit, read, reasons, source

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


class Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


def certificate(folder: Path) -> tuple[Path, Path]:
    """A key and a certificate for localhost, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    key_file, certificate_file = folder / "key.pem", folder / "certificate.pem"
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    certificate_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return key_file, certificate_file


@pytest.fixture
def remote(library: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[tuple[str, str, list[str]]]:
    """(address, first commit, requests): a repository with a tag v1 on its first commit and a second one after it."""
    folder = tmp_path / "served"
    first = commit(folder, library)
    porcelain.tag_create(str(folder), b"v1", author=WHO, message=b"one", annotated=True)
    commit(folder, {"json/more.py": b"more = 1\n"}, b"b")
    git = make_wsgi_chain(DictBackend({"/owner/name": Repo(str(folder)), "/owner/name.git": Repo(str(folder))}))
    requests: list[str] = []

    def application(environment: dict[str, Any], start: Any) -> Iterable[bytes]:
        path = environment["PATH_INFO"]
        requests.append(path)
        if path.startswith("/moved/"):
            target = {"plain": "http://localhost:1/x", "inside": "https://127.0.0.1:1/owner/name"}[path.split("/")[2]]
            start("302 Found", [("Location", f"{target}/info/refs?service=git-upload-pack")])
            return [b""]
        return git(environment, start)

    key, trusted = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(trusted, key)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    server: WSGIServer = make_server("localhost", 0, application, handler_class=Quiet)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"https://localhost:{server.server_port}", first, requests
    server.shutdown()
    server.server_close()
    thread.join()


def test_one_commit_is_fetched_once(remote: tuple[str, str, list[str]], library: Files, tmp_path: Path) -> None:
    address, first, requests = remote
    clones = tmp_path / "clones"

    def outcomes(revision: str) -> list[Any]:
        git = [{"url": f"{address}/owner/name", "revision": revision, "stars": 5}]
        return read(source(git=git, clones=str(clones), allow_private=True))

    found = outcomes("v1")
    assert set(reasons(found)) == {f"owner/name/blob/v1/{name}" for name in library}
    record = next(one for one in found if isinstance(one, Record))
    assert record.metadata["commit"] == first
    assert record.metadata["repository"] == f"{address}/owner/name"
    assert record.uri.startswith(f"{address}/owner/name/blob/v1/")
    assert len(outcomes("HEAD")) == len(library) + 1
    assert len(outcomes("master")) == len(library) + 1
    (bare,) = clones.iterdir()
    repository = Repo(str(bare))
    assert len(list(repository.object_store.packs)) <= 2
    repository.close()
    before = len(requests)
    assert [one.content for one in outcomes(first)] == [one.content for one in found]
    assert len(requests) == before  # a commit that is there needs no look at the remote


@pytest.mark.parametrize(
    ("path", "fields", "message"),
    [
        ("/owner/none", {}, "no git repository there"),
        ("/owner/name", {"revision": "v9"}, "no branch or tag is called 'v9'; its branches: master"),
        ("/owner/name", {"clone_max_bytes": 500}, "more than 500 bytes; set clone_max_bytes higher"),
        ("/owner/name", {"clone_timeout": 1e-9}, "timed out"),
        ("/owner/name", {"allow_private": False}, "which is no public address"),
        ("/moved/plain", {}, "which is not https"),
        ("/moved/inside", {}, "localhost"),
    ],
)
def test_what_cannot_be_fetched(
    remote: tuple[str, str, list[str]], path: str, fields: dict[str, Any], message: str, tmp_path: Path
) -> None:
    revision = fields.pop("revision", "HEAD")
    made = source(
        git=[{"url": remote[0] + path, "revision": revision}], clones=str(tmp_path / "c"),
        **{"allow_private": True, **fields},
    )  # fmt: skip
    with pytest.raises(CloneError, match=message):
        made.units()
    left = [file for file in (tmp_path / "c").rglob("*") if file.is_file() and "pack" in file.name]
    assert left == []


def test_a_slow_drip_has_an_end() -> None:
    written: list[bytes] = []
    write = bounded(written.append, 100, time.monotonic() + 3600, "https://example.org/a")
    write(b"a" * 100)
    late = bounded(written.append, 100, time.monotonic() - 1, "https://example.org/a")
    with pytest.raises(CloneError, match="not fetched in time; set clone_timeout higher"):
        late(b"b")
    with pytest.raises(CloneError, match="more than 100 bytes"):
        write(b"b")
    assert written == [b"a" * 100]


def test_a_certificate_that_nobody_signed(
    remote: tuple[str, str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    made = source(git=[f"{remote[0]}/owner/name"], clones=str(tmp_path / "c"), allow_private=True)
    with pytest.raises(CloneError, match=r"(?i)certificate"):
        made.units()

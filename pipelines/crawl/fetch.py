"""One polite HTTP request: the exchange as it went over the wire, or the named reason why there is none."""

from __future__ import annotations

import asyncio
import email.utils
import importlib.util
import math
import ssl
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import httpcore

from pipelines.crawl.config import CrawlConfig
from pipelines.crawl.connect import CheckedBackend, NameNotResolvedError, PrivateAddressError
from pipelines.crawl.errors import CrawlError
from pipelines.crawl.url import host_of

# What the reader of our WARC files can undo without an optional library.
ACCEPT_ENCODING = "gzip, deflate"
_ACCEPT = "text/html,application/xhtml+xml;q=0.9,*/*;q=0.1"
_RETRY_STATUS = (429, 503)
# What h11 and h2 say of a header beyond their own limits (100 KiB and 64 KiB), which no server gets around.
_HEADER_TOO_LARGE = ("Receive buffer too long", "Oversized header")

Headers = list[tuple[bytes, bytes]]
Conditions = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its answer, byte for byte as far as HTTP/1.1 framing allows.

    `body` is what came after the header with chunked transfer coding undone (Content-Encoding is not). Header names
    keep the server's spelling. `date` is when the request was sent; `address` the IP address that answered.
    """

    url: str
    date: datetime
    address: str
    request: bytes
    status: int
    reason: bytes
    version: bytes
    headers: Headers
    body: bytes

    def header(self, name: str) -> str | None:
        """The values of a header field joined with ", "; None where it was not sent."""
        wanted = name.lower().encode()
        values = [value.decode("latin-1") for key, value in self.headers if key.lower() == wanted]
        return ", ".join(values) if values else None

    @property
    def media_type(self) -> str:
        """The media type of the answer in lower case, without parameters; "" where none was sent."""
        return (self.header("content-type") or "").split(";", 1)[0].strip().lower()


class FetchError(Exception):
    """No usable answer. `reason` is kebab-case, the message says what happened."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class _Host:
    """A host's turn: one request at a time, none before the delay since the last answer has passed."""

    def __init__(self, delay: float, last_answer: float) -> None:
        self.lock = asyncio.Lock()
        self.delay = delay
        self.last_answer = last_answer
        self.not_before = 0.0
        self.seconds: float | None = None

    def answered(self, seconds: float) -> None:
        """Note an answer, or that none came, and how long it took: half of the new value, half of those before."""
        self.last_answer = time.monotonic()
        self.seconds = seconds if self.seconds is None else (self.seconds + seconds) / 2


class Fetcher:
    """Asks servers for pages, one request a host at a time. Use as an asynchronous context manager."""

    def __init__(self, config: CrawlConfig, *, resumed: bool = False, tls: ssl.SSLContext | None = None) -> None:
        """`resumed`: another process may have asked any host a moment ago. `tls`: whom to trust, None: as usual.

        Raises CrawlError where HTTP/2 is wanted and its package is missing.
        """
        if config.http2 and importlib.util.find_spec("h2") is None:
            raise CrawlError("http2: true needs the package h2: `pip install 'pomona[curate]'`, or set http2: false")
        self._config = config
        self._hosts: dict[str, _Host] = {}
        self._last_answer = time.monotonic() if resumed else -math.inf
        self._backend = CheckedBackend(config.allow_private, config.connect_to)
        self._tls = tls
        self._pools: OrderedDict[str, httpcore.AsyncConnectionPool] = OrderedDict()

    async def __aenter__(self) -> Fetcher:
        return self

    async def __aexit__(self, *exception: object) -> None:
        for pool in self._pools.values():
            await pool.aclose()

    async def _pool(self, name: str) -> httpcore.AsyncConnectionPool:
        """The connections to one host; those used longest ago are closed where too many are open.

        A pool for each, because httpcore's looks at every connection it holds for every request it is given.
        """
        pool = self._pools.get(name)
        if pool is None:
            # Made once: reading the authorities' certificates takes longer than a page.
            self._tls = self._tls or httpcore.default_ssl_context()
            pool = self._pools[name] = httpcore.AsyncConnectionPool(
                ssl_context=self._tls,
                max_connections=2,
                keepalive_expiry=15.0,
                http2=self._config.http2,
                network_backend=self._backend,
            )
        self._pools.move_to_end(name)
        for old in list(self._pools)[: max(0, len(self._pools) - 2 * self._config.concurrent_hosts)]:
            if not self._host(old).lock.locked():
                await self._pools.pop(old).aclose()
        return pool

    def slow_down(self, host: str, delay: float) -> None:
        """Ask a host no more often than once in `delay` seconds from now on (its Crawl-delay)."""
        state = self._host(host)
        state.delay = max(state.delay, delay)

    async def get(
        self,
        url: str,
        wanted: Callable[[Exchange], bool] = lambda _: True,
        limit: int = 0,
        conditions: Conditions = (),
    ) -> Exchange:
        """Fetch one address when the host's turn has come; redirects are answers, not followed.

        A broken connection, 429 and 503 are tried again (`max_retries`), after the host's Retry-After where it gives
        one.

        Args:
            url: normalised address.
            wanted: called with the answer before its body is read (body empty); False leaves the body unread.
            limit: longest body in bytes; 0: the configuration's max_body_bytes.
            conditions: header fields that make the request conditional; the answer may then be 304.

        Raises:
            FetchError: "private-address", "name-not-resolved", "connection-failed", "timeout", "too-large",
                "header-too-large" or "bad-http".
        """
        host = self._host(host_of(url))
        tries = 0
        async with host.lock:
            while True:
                await asyncio.sleep(max(0.0, self._turn(host) - time.monotonic()))
                sent = time.monotonic()
                try:
                    async with asyncio.timeout(self._config.timeout):
                        exchange = await self._request(url, wanted, limit or self._config.max_body_bytes, conditions)
                    error = None
                except TimeoutError:
                    exchange, error = None, FetchError("timeout", f"no whole answer in {self._config.timeout} s")
                except FetchError as failure:
                    exchange, error = None, failure
                finally:
                    host.answered(time.monotonic() - sent)
                pause = self._pause(exchange, error, tries)
                if pause is None:
                    break
                host.not_before = time.monotonic() + pause
                tries += 1
        if exchange is None:
            raise error or FetchError("connection-failed", "no answer")
        return exchange

    def _host(self, name: str) -> _Host:
        return self._hosts.setdefault(name, _Host(self._config.delay, self._last_answer))

    def _turn(self, host: _Host) -> float:
        """When a host may be asked next: slow answers lengthen its delay, to what a site may ask for at most."""
        adaptive = min(self._config.adaptive_delay * (host.seconds or 0.0), self._config.max_crawl_delay)
        return max(host.not_before, host.last_answer + max(host.delay, adaptive))

    def _pause(self, exchange: Exchange | None, error: FetchError | None, tries: int) -> float | None:
        """Seconds to wait before the next try; None: this result stands."""
        if tries >= self._config.max_retries:
            return None
        if error is not None:
            return 0.5 * 2**tries if error.reason in ("connection-failed", "bad-http") else None
        if exchange is None or exchange.status not in _RETRY_STATUS:
            return None
        asked = retry_after(exchange.header("retry-after"), exchange.date)
        pause = 2.0**tries if asked is None else asked
        return pause if pause <= self._config.max_retry_after else None

    async def _request(
        self, url: str, wanted: Callable[[Exchange], bool], limit: int, conditions: Conditions
    ) -> Exchange:
        target = httpcore.URL(url)
        headers: Headers = [
            (b"Host", url.split("/", 3)[2].encode("ascii")),
            (b"User-Agent", self._config.user_agent.encode("ascii")),
            (b"Accept", _ACCEPT.encode()),
            (b"Accept-Encoding", ACCEPT_ENCODING.encode()),
            *conditions,
        ]
        request = b"GET " + target.target + b" HTTP/1.1\r\n"
        request += b"".join(key + b": " + value + b"\r\n" for key, value in headers) + b"\r\n"
        date = datetime.now(UTC)
        timeout = dict.fromkeys(("connect", "read", "write", "pool"), self._config.timeout)
        try:
            pool = await self._pool(host_of(url))
            async with pool.stream("GET", target, headers=headers, extensions={"timeout": timeout}) as answer:
                exchange = Exchange(
                    url,
                    date,
                    _address(answer),
                    request,
                    answer.status,
                    answer.extensions.get("reason_phrase", b""),
                    answer.extensions.get("http_version", b"HTTP/1.1"),
                    answer.headers,
                    b"",
                )
                size = sum(len(name) + len(value) + 4 for name, value in answer.headers)
                if size > self._config.max_header_bytes:
                    detail = f"{size} bytes of header fields, the limit is {self._config.max_header_bytes}"
                    raise FetchError("header-too-large", detail)
                if not wanted(exchange):
                    return exchange
                body = await _read(answer, limit, exchange.header("content-length"))
        except PrivateAddressError as error:
            raise FetchError("private-address", str(error)) from error
        except NameNotResolvedError as error:
            raise FetchError("name-not-resolved", str(error)) from error
        except httpcore.TimeoutException as error:
            raise FetchError("timeout", f"{type(error).__name__} after {self._config.timeout} s") from error
        except httpcore.ProtocolError as error:
            said = str(error) or type(error).__name__
            reason = "header-too-large" if any(words in said for words in _HEADER_TOO_LARGE) else "bad-http"
            raise FetchError(reason, said) from error
        except (httpcore.NetworkError, OSError) as error:
            raise FetchError("connection-failed", str(error) or type(error).__name__) from error
        return Exchange(
            url,
            date,
            exchange.address,
            request,
            exchange.status,
            exchange.reason,
            exchange.version,
            exchange.headers,
            body,
        )


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds that a Retry-After field asks for (RFC 9110, 10.2.3: seconds or a date); None where it says nothing."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        date = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (date.astimezone(UTC) - now).total_seconds())


async def _read(answer: httpcore.Response, limit: int, declared: str | None) -> bytes:
    if declared is not None and declared.strip().isdecimal() and int(declared) > limit:
        raise FetchError("too-large", f"Content-Length is {declared} bytes, the limit is {limit}")
    chunks: list[bytes] = []
    length = 0
    async for chunk in answer.aiter_stream():
        length += len(chunk)
        if length > limit:
            raise FetchError("too-large", f"the body is longer than {limit} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def _address(answer: httpcore.Response) -> str:
    stream = answer.extensions.get("network_stream")
    found = stream.get_extra_info("server_addr") if stream is not None else None
    return str(found[0]) if found else ""

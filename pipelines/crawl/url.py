"""One spelling for one address: URL normalisation (RFC 3986, 6.2.2 and 6.2.3) and the resolving of links."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urljoin, urlsplit

MAX_URL = 2083
"""Longest URL that is followed, in characters: the longest that all browsers took; traps make longer ones."""

_DEFAULT_PORT = {"http": 80, "https": 443}
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
# Characters that may stand as they are in a path or query (RFC 3986, 3.3 and 3.4); "%" only before two hex digits.
_PLAIN = _UNRESERVED | frozenset("!$&'()*+,;=:@/?%[]")
_CONTROL = re.compile(r"[\t\n\r]")
_TO_ESCAPE = re.compile(r"[^A-Za-z0-9._~!$&'()*+,;=:@/?\[\]-]")  # not in _PLAIN, or "%"
# Origin and host of an address that is normalised already, IPv6 apart.
_NORMAL_ORIGIN = re.compile(r"(https?://([a-z0-9_.-]+)(?::[0-9]+)?)/")
# Links that need no more than to be put together: no dot segment but "../" in front, no escape, query or character to
# encode.
_SIMPLE_PATH = r"(?:[A-Za-z0-9_~-][A-Za-z0-9_~.-]*/)*(?:[A-Za-z0-9_~-][A-Za-z0-9_~.-]*)?"
_SIMPLE = re.compile(rf"(/|(?:\.\./)*)({_SIMPLE_PATH})")
# The same for whole addresses, without a port: they are in their normal form.
_SIMPLE_ADDRESS = re.compile(rf"https?://[a-z0-9_-][a-z0-9_.-]*[a-z0-9_-]/{_SIMPLE_PATH}")
# Names of session identifiers, in a parameter of the path or of the query: each visit would make another address.
_SESSION = r"(?:jsessionid|phpsessid|aspsessionid[a-z]*|asp\.net_sessionid|cfid|cftoken|oscsid|zenid|session_?id)"
_SESSION_PATH = re.compile(rf";{_SESSION}=[^;/?]*|/\(S\([a-z0-9]{{24}}\)\)(?=/)", re.IGNORECASE)
_SESSION_PARAMETER = re.compile(rf"{_SESSION}=", re.IGNORECASE)


def normalise(url: str) -> str | None:
    """The one spelling of an http(s) address, without its fragment; None where it is not such an address.

    Scheme and host in lower case (IDNA for other scripts), no default port, no dot segments, an empty path as "/",
    escapes in upper case and only where needed, everything outside ASCII percent-encoded as UTF-8. The query keeps its
    order. Addresses with a user name, and those over MAX_URL, are refused (None).
    """
    url = _CONTROL.sub("", url.strip())  # as browsers do (WHATWG URL, basic parser, steps 1-3)
    if len(url) > MAX_URL:
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    scheme = parts.scheme.lower()
    host = _host(parts)
    if scheme not in _DEFAULT_PORT or host is None or "@" in parts.netloc:
        return None
    authority = host if port is None or port == _DEFAULT_PORT[scheme] else f"{host}:{port}"
    path = _without_dots(_escaped(parts.path.replace("\\", "/"))) or "/"
    query = f"?{_escaped(parts.query)}" if parts.query else ""
    result = f"{scheme}://{authority}{path if path.startswith('/') else '/' + path}{query}"
    return result if len(result) <= MAX_URL else None


def resolve(base: str, link: str) -> str | None:
    """A link as it stands in a page, made absolute and normalised; None where it leads to no http(s) address."""
    try:
        return normalise(urljoin(base, _CONTROL.sub("", link.strip())))
    except ValueError:
        return None


class PageLinks:
    """Resolves the links of one page.

    Args:
        base: the page's normalised address, or that of its `<base href>`.
    """

    def __init__(self, base: str) -> None:
        self._base = base
        self._origin = origin_of(base)
        path = base.split("?", 1)[0]
        self._folder = path[: path.rindex("/") + 1]
        self._above = {"": self._folder, "/": f"{self._origin}/"}

    def resolve(self, link: str) -> str | None:
        """As `resolve`, at a tenth of its cost for the plain links that most are; session identifiers left out."""
        bare = link.partition("#")[0]
        match = _SIMPLE.fullmatch(bare)
        if match is not None and bare:
            front, rest = match.groups()
            folder = self._above.get(front)
            url = (self._up(front) if folder is None else folder) + rest
            return url if len(url) <= MAX_URL else None
        if len(link) <= MAX_URL and _SIMPLE_ADDRESS.fullmatch(bare) is not None:
            return bare
        url = resolve(self._base, link)
        return None if url is None else without_session(url)

    def _up(self, front: str) -> str:
        """The folder that so many "../" lead to, from the page's."""
        folder = without_session(resolve(self._base, front) or self._folder)
        self._above[front] = folder
        return folder


def without_session(url: str) -> str:
    """A normalised address without session identifiers (`;jsessionid=...`, `?PHPSESSID=...` and the like)."""
    if "=" not in url and "(S(" not in url:
        return url
    path, _, query = url.partition("?")
    kept = "&".join(part for part in query.split("&") if not _SESSION_PARAMETER.match(part))
    return _SESSION_PATH.sub("", path) + (f"?{kept}" if kept else "")


def host_of(url: str) -> str:
    """The host name of a normalised URL, without its port."""
    match = _NORMAL_ORIGIN.match(url)
    return match.group(2) if match is not None else urlsplit(url).hostname or ""


def origin_of(url: str) -> str:
    """Scheme, host and port of a normalised URL: what one robots.txt speaks for (RFC 9309, 2.3)."""
    match = _NORMAL_ORIGIN.match(url)
    if match is not None:
        return match.group(1)
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _host(parts: SplitResult) -> str | None:
    host = (parts.hostname or "").rstrip(".")
    if ":" in host:
        return f"[{host}]"
    try:
        ascii_host = host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:
        return None
    return ascii_host if re.fullmatch(r"[a-z0-9_.-]+", ascii_host) else None


def _escaped(text: str) -> str:
    def unescape(match: re.Match[str]) -> str:
        character = chr(int(match.group(1), 16))
        return character if character in _UNRESERVED else match.group().upper()

    if _TO_ESCAPE.search(text) is None:
        return text
    text = _ESCAPE.sub(unescape, text)
    pieces: list[str] = []
    for at, character in enumerate(text):
        if character in _PLAIN and not (character == "%" and not _ESCAPE.match(text, at)):
            pieces.append(character)
        else:
            pieces.extend(f"%{byte:02X}" for byte in character.encode("utf-8", "replace"))
    return "".join(pieces)


def _without_dots(path: str) -> str:
    """Remove "." and ".." segments (RFC 3986, 5.2.4)."""
    if "/." not in path and not path.startswith("."):
        return path
    out: list[str] = []
    segments = path.split("/")
    for segment in segments:
        if segment == "..":
            if len(out) > 1:
                out.pop()
        elif segment != ".":
            out.append(segment)
    if segments[-1] in (".", ".."):
        out.append("")
    return "/".join(out)

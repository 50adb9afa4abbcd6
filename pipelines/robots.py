"""robots.txt: what a site allows a crawler to fetch (RFC 9309), read as Google's open-source matcher reads it.

The parser is ours because every kept record carries the line that decided about it, which no library gives. Where
RFC 9309 is silent (typing errors in keys, a missing colon, `index.html`), the behaviour of google/robotstxt (robots.cc)
is followed, since robots.txt files are written and tested against it. Groups hold for one product token ("GPTBot"); the
`*` group is used only where no group names the agent.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

MAX_BODY = 500 * 1024
"""RFC 9309, 2.5: at least 500 KiB are parsed; what lies beyond is ignored."""

MAX_LINE = 2083 * 8 - 1
"""Bytes kept of one line (robots.cc: eight times the longest URL a browser takes)."""

_BOM = b"\xef\xbb\xbf"
_SPACE = b" \t\n\v\f\r"
_PRODUCT_TOKEN = re.compile(r"[A-Za-z_-]*")
_BARE_PAIR = re.compile(rb"([^ \t]+)[ \t]+([^ \t]+)")
_ESCAPE = re.compile(rb"%[0-9a-fA-F]{2}|[\x80-\xff]")
_UNRESERVED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
_DELAY = re.compile(rb"[0-9]*\.?[0-9]+")

# Keys match by their beginning and without case; the typing errors are those that robots.cc accepts.
_KEYS: tuple[tuple[str, tuple[bytes, ...]], ...] = (
    ("user-agent", (b"user-agent", b"useragent", b"user agent")),
    ("allow", (b"allow",)),
    ("disallow", (b"disallow", b"dissallow", b"dissalow", b"disalow", b"diasllow", b"disallaw")),
    ("sitemap", (b"sitemap", b"site-map")),
    ("crawl-delay", (b"crawl-delay", b"crawldelay")),
)


@dataclass(frozen=True, slots=True)
class _Rule:
    """An allow or disallow line: its pattern (percent-encoding normalised), and the line as it was written."""

    allow: bool
    pattern: bytes
    line: str

    def match(self, path: bytes) -> int:
        """The length of the pattern where it matches the beginning of the path, else -1 (RFC 9309, 2.2.2)."""
        if matches(self.pattern, path):
            return len(self.pattern)
        if self.allow:
            # robots.cc: an allowed ".../index.html" allows the folder's own address too.
            slash = self.pattern.rfind(b"/")
            if slash >= 0 and self.pattern[slash:].startswith(b"/index.htm"):
                folder = self.pattern[: slash + 1] + b"$"
                if matches(folder, path):
                    return len(folder)
        return -1


@dataclass(slots=True)
class _Group:
    """Lines that hold for the same agents: product tokens in lower case, "*" for all others."""

    agents: set[str] = field(default_factory=set[str])
    rules: list[_Rule] = field(default_factory=list[_Rule])
    crawl_delay: float | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """A parsed robots.txt. An empty one allows everything.

    `sitemaps` are the addresses of its Sitemap lines, in order.
    """

    groups: tuple[_Group, ...] = ()
    sitemaps: tuple[str, ...] = ()

    @classmethod
    def parse(cls, body: bytes, *, unescape: bool = False) -> Rules:
        """Parse the body of a robots.txt; never raises, whatever the bytes are.

        A page of HTML, as many sites answer with status 200, holds no line that is a rule and allows everything.

        Args:
            body: the file's bytes, transfer and content encodings undone.
            unescape: also undo escapes of unreserved characters in the patterns ("/%7Ejoe" is "/~joe"), as RFC 9309,
                2.2.2 asks of both sides of the comparison; right for addresses that were normalised in the same way.
                Google's matcher leaves that to its caller, so it is off here.
        """
        groups: list[_Group] = []
        sitemaps: list[str] = []
        open_for_agents = False
        for line in _lines(body):
            found = _key_and_value(line)
            if found is None:
                continue
            key, value = found
            if key == "user-agent":
                if not open_for_agents:
                    groups.append(_Group())
                    open_for_agents = True
                groups[-1].agents.add(_agent_of_line(value))
            elif key in ("allow", "disallow"):
                if groups:  # robots.cc: a rule before the first user-agent line holds for nobody
                    open_for_agents = False
                    groups[-1].rules.append(_Rule(key == "allow", normalised(value, unescape), _text(line)))
            elif key == "crawl-delay":
                # Not in the standard and unknown to Google: it must not close the list of agents (RFC 9309, 2.2.4).
                if groups and groups[-1].crawl_delay is None and _DELAY.fullmatch(value):
                    groups[-1].crawl_delay = float(value)
            elif key == "sitemap":
                sitemaps.append(_text(value))
        return cls(tuple(groups), tuple(sitemaps))

    def allowed(self, user_agent: str, url: str) -> bool:
        """Whether the agent may fetch the address.

        Args:
            user_agent: product token ("PomonaBot"), compared without case; not the whole User-Agent header.
            url: absolute URL or path, percent-encoded as it is sent, escapes in upper case (as `crawl.url` writes it).
        """
        deciding = self._deciding(user_agent, url)
        return deciding is None or deciding.allow

    def rule(self, user_agent: str, url: str) -> str:
        """The line that decides about the address, as written in the file; "" where no rule matches (allowed)."""
        deciding = self._deciding(user_agent, url)
        return "" if deciding is None else deciding.line

    def crawl_delay(self, user_agent: str) -> float | None:
        """Seconds between requests that the agent's group asks for; None where it does not."""
        delays = [group.crawl_delay for group in self._groups(user_agent) if group.crawl_delay is not None]
        return max(delays) if delays else None

    def together(self, user_agents: Sequence[str]) -> list[list[str]]:
        """Agents put together to which the same lines speak: what holds for one holds for all of them."""
        found: dict[tuple[int, ...], list[str]] = {}
        for agent in user_agents:
            found.setdefault(tuple(id(group) for group in self._groups(agent)), []).append(agent)
        return list(found.values())

    def _groups(self, user_agent: str) -> list[_Group]:
        """The groups that name the agent, merged (RFC 9309, 2.2.1), or else those for "*"."""
        name = user_agent.lower()
        specific = [group for group in self.groups if name in group.agents] if name not in ("", "*") else []
        return specific or [group for group in self.groups if "*" in group.agents]

    def _deciding(self, user_agent: str, url: str) -> _Rule | None:
        """The longest matching rule; allow wins between equals (RFC 9309, 2.2.2). Empty patterns decide nothing."""
        path = path_of(url)
        best: _Rule | None = None
        longest = 0
        for group in self._groups(user_agent):
            for rule in group.rules:
                length = rule.match(path)
                if length > longest or (length == longest and length > 0 and rule.allow and best and not best.allow):
                    best, longest = rule, length
        return best


@dataclass(frozen=True, slots=True)
class RobotsFile:
    """What asking for a site's robots.txt came to, and what it means for the crawler (RFC 9309, 2.3.1).

    Attributes:
        rules: the parsed rules; empty where there are none.
        refused: True where nothing may be fetched: the file could not be reached, or the server failed (2.3.1.4).
        digest: SHA-256 (hex) of the body that was read, None where there was none.
        status: what happened, as text for the ledger ("200", "404: allowed", "503: refused", "timeout: refused").
    """

    rules: Rules = Rules()
    refused: bool = False
    digest: str | None = None
    status: str = ""

    @classmethod
    def from_response(cls, status: int, body: bytes) -> RobotsFile:
        """Judge the final answer, redirects (five at most, 2.3.1.2) followed.

        2xx is parsed; 3xx that led nowhere and 4xx mean that there is no file and all is allowed (2.3.1.3); also 429,
        which is in that range, although a careful crawler first waits and asks again. All else refuses everything.
        """
        if 200 <= status < 300:
            # The crawler's addresses are normalised, so the patterns must be, too.
            return cls(Rules.parse(body, unescape=True), False, hashlib.sha256(body).hexdigest(), str(status))
        if 300 <= status < 500:
            return cls(status=f"{status}: allowed")
        return cls(refused=True, status=f"{status}: refused")

    @classmethod
    def unreachable(cls, reason: str) -> RobotsFile:
        """The file could not be had (name, connection, time): nothing may be fetched."""
        return cls(refused=True, status=f"{reason}: refused")

    def allowed(self, user_agent: str, url: str) -> bool:
        """Whether the agent may fetch the address; the robots.txt itself always (RFC 9309, 2.2.2)."""
        if path_of(url) == b"/robots.txt":
            return True
        return not self.refused and self.rules.allowed(user_agent, url)

    def rule(self, user_agent: str, url: str) -> str:
        """The deciding line; where there is none, what the file's absence or failure means; "" = no rule matched."""
        if self.digest is None:
            return f"robots.txt {self.status}" if self.status else ""
        return self.rules.rule(user_agent, url)


def product_token(user_agent: str) -> str:
    """The product token of a User-Agent header: the letters, "_" and "-" at its start (RFC 9309, 2.2.1)."""
    match = _PRODUCT_TOKEN.match(user_agent)
    return match.group() if match else ""


def path_of(url: str) -> bytes:
    """The path, parameters and query of a URL, without its fragment; "/" where there is none (GetPathParamsQuery)."""
    start = 2 if url.startswith("//") else 0
    early = _first_of(url, start)
    scheme_end = url.find("://", start)
    if scheme_end < 0 or (0 <= early < scheme_end):
        scheme_end = start
    else:
        scheme_end += 3
    path_start = _first_of(url, scheme_end)
    if path_start < 0:
        return b"/"
    fragment = url.find("#", start)
    if 0 <= fragment < path_start:
        return b"/"
    path = url[path_start : fragment if fragment >= 0 else len(url)]
    encoded = path.encode("utf-8", "surrogatepass")
    return encoded if encoded.startswith(b"/") else b"/" + encoded


def _first_of(url: str, start: int) -> int:
    found = [at for at in (url.find(mark, start) for mark in "/?;") if at >= 0]
    return min(found) if found else -1


def _lines(body: bytes) -> list[bytes]:
    """Lines ended by CR, LF or CRLF, of the first 500 KiB, without a byte order mark (also a damaged one)."""
    body = body[:MAX_BODY]
    mark = 0
    while mark < len(_BOM) and body[mark : mark + 1] == _BOM[mark : mark + 1]:
        mark += 1
    return [line[:MAX_LINE] for line in body[mark:].replace(b"\r", b"\n").split(b"\n")]


def _key_and_value(line: bytes) -> tuple[str, bytes] | None:
    """The known key of a line and its value; None for comments, blank lines, unknown keys and prose."""
    # robots.cc works on C strings: a line ends at its first NUL.
    text = line.split(b"\0", 1)[0].split(b"#", 1)[0].strip(_SPACE)
    key, colon, value = text.partition(b":")
    if not colon:
        # Google: "Disallow /" without a colon counts, if the line is exactly two words.
        pair = _BARE_PAIR.fullmatch(text)
        if pair is None:
            return None
        key, value = pair.group(1), pair.group(2)
    key = key.strip(_SPACE).lower()
    for name, spellings in _KEYS:
        if key.startswith(spellings):
            return name, value.strip(_SPACE)
    return None


def _agent_of_line(value: bytes) -> str:
    """The product token of a user-agent line, lower case; "*" also where words follow it ("* bots")."""
    if value[:1] == b"*" and (len(value) == 1 or value[1:2] in (b" ", b"\t", b"\v", b"\f")):
        return "*"
    match = _PRODUCT_TOKEN.match(value.decode("latin-1"))
    return match.group().lower() if match else ""


def normalised(pattern: bytes, unescape: bool) -> bytes:
    """Octets outside ASCII percent-encoded and the digits of escapes in upper case (MaybeEscapePattern)."""

    def escape(match: re.Match[bytes]) -> bytes:
        found = match.group()
        if len(found) == 1:
            return b"%%%02X" % found[0]
        octet = bytes([int(found[1:], 16)])
        return octet if unescape and octet in _UNRESERVED else found.upper()

    return _ESCAPE.sub(escape, pattern)


def matches(pattern: bytes, path: bytes) -> bool:
    """Whether the pattern matches the beginning of the path: "*" any run, a last "$" the end.

    Taking each piece between stars at its first possible place finds a match wherever there is one, in time
    proportional to pattern x path at worst: a hostile pattern cannot make it slow.
    """
    anchored = pattern.endswith(b"$")
    pieces = (pattern[:-1] if anchored else pattern).split(b"*")
    if not path.startswith(pieces[0]):
        return False
    at = len(pieces[0])
    if len(pieces) == 1:
        return not anchored or at == len(path)
    last = pieces[-1] if anchored else b""
    for piece in pieces[1:-1] if anchored else pieces[1:]:
        found = path.find(piece, at)
        if found < 0:
            return False
        at = found + len(piece)
    return len(path) - len(last) >= at and path.endswith(last)


def _text(line: bytes) -> str:
    """A line as text for people: UTF-8 where it is, else Latin-1, without its surrounding space."""
    line = line.strip(_SPACE)
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("latin-1")

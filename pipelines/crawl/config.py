"""What to crawl, how politely, and where it must end."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from pipelines.crawl.scope import Scope, host_pattern
from pipelines.crawl.url import host_of, normalise

# Fields that came after the first finished crawls: at their defaults they are no part of the digest, so that those
# crawls are still recognised.
_LATER = frozenset(
    {
        "include", "exclude", "sitemaps", "max_sitemaps", "max_sitemap_urls", "canonical", "tdmrep", "max_host_pages",
        "max_host_bytes", "max_bytes", "max_seconds", "max_host_failures", "adaptive_delay", "max_header_bytes",
        "http2",
    }
)  # fmt: skip


class CrawlConfig(BaseModel):
    """The fields of a crawl; each limit has a default that a stranger's site can bear.

    Every request to one host waits until `delay` seconds (or the host's Crawl-delay, or `adaptive_delay` times what its
    answers take, if longer) have passed since the last answer came in, one request at a time. All that is not stated
    here about politeness is RFC 9309.

    `include` and `exclude` are patterns as in robots.txt: the beginning of an address, `*` for anything, a last `$` for
    its end. One that begins with "/" is about path and query, another about host, path and query
    ("docs.example.org/v2/"). Where `include` is given, an address must match one of them, save for the seeds; none may
    match `exclude`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seeds: Annotated[tuple[str, ...], Field(description="Addresses to start from.")] = ()
    site: Annotated[
        Literal["pydoc"] | None, Field(description="A sample site, started for the crawl; gives the seeds.")
    ] = None
    source: Annotated[str, Field(min_length=1, description="Source name in ids and ledger rows.")] = "web"
    user_agent: Annotated[
        str, Field(pattern=r"^[A-Za-z_-]+(/[!-~ ]*)?( [!-~ ]*)?$", description="Header; begins with the product token.")
    ] = "PomonaBot/0.1"
    delay: Annotated[float, Field(ge=0, description="Seconds between requests to a host.")] = 1.0
    adaptive_delay: Annotated[
        float, Field(ge=0, description="The delay is at least this many times what a host's answers take; 0: off.")
    ] = 1.0
    max_crawl_delay: Annotated[float, Field(gt=0, description="A host that asks for more is not crawled.")] = 60.0
    max_pages: Annotated[int, Field(ge=1, description="Page requests in total, whatever becomes of them.")] = 1000
    max_host_pages: Annotated[int | None, Field(ge=1, description="Page requests to one host; null: no limit.")] = None
    max_bytes: Annotated[int | None, Field(ge=1, description="Bytes of bodies in total; null: no limit.")] = None
    max_host_bytes: Annotated[int | None, Field(ge=1, description="Bytes of one host's bodies; null: no limit.")] = None
    max_seconds: Annotated[float | None, Field(gt=0, description="Time that the crawl may take; null: no limit.")] = (
        None
    )
    max_host_failures: Annotated[
        int, Field(ge=1, description="A host that gave no answer this often in a row is given up.")
    ] = 10
    max_depth: Annotated[int | None, Field(ge=0, description="Links from a seed; null: no limit.")] = None
    hosts: Annotated[
        tuple[str, ...],
        Field(description="Hosts in scope beside those of the seeds; *.example.org: that one and all below it."),
    ] = ()
    include: Annotated[tuple[str, ...], Field(description="Patterns of which an address must match one.")] = ()
    exclude: Annotated[tuple[str, ...], Field(description="Patterns of which an address must match none.")] = ()
    sitemaps: Annotated[
        Literal["off", "robots", "well-known"],
        Field(description="Whether to read sitemaps: those that robots.txt names, or /sitemap.xml, too."),
    ] = "robots"
    max_sitemaps: Annotated[int, Field(ge=1, le=1000, description="Sitemap files read of one origin.")] = 50
    max_sitemap_urls: Annotated[int, Field(ge=1, description="Addresses taken from an origin's sitemaps.")] = 50_000
    canonical: Annotated[
        bool, Field(description="Whether a page that names another kept page as canonical is left to that one.")
    ] = True
    tdmrep: Annotated[bool, Field(description="Whether /.well-known/tdmrep.json is asked for, once an origin.")] = True
    content_types: Annotated[tuple[str, ...], Field(description="Media types that are kept.")] = (
        "text/html",
        "application/xhtml+xml",
    )
    max_body_bytes: Annotated[int, Field(ge=1, description="A longer body is given up.")] = 20_000_000
    max_header_bytes: Annotated[int, Field(ge=1, le=100_000, description="A longer header is given up.")] = 65_536
    max_links: Annotated[int, Field(ge=0, description="Links followed from one page.")] = 10_000
    timeout: Annotated[float, Field(gt=0, description="Seconds for one request, connection and body included.")] = 30.0
    max_redirects: Annotated[int, Field(ge=0, description="Redirects in a row (robots.txt: RFC 9309, 2.3.1.2).")] = 5
    max_retries: Annotated[int, Field(ge=0, description="New tries after 429, 503 or a broken connection.")] = 2
    max_retry_after: Annotated[float, Field(ge=0, description="Longest Retry-After that is waited for, s.")] = 60.0
    concurrent_hosts: Annotated[int, Field(ge=1, description="Hosts asked at the same time, by each worker.")] = 8
    workers: Annotated[int, Field(ge=1, le=1000, description="Processes that share the hosts among them.")] = 1
    http2: Annotated[bool, Field(description="Whether HTTP/2 is spoken with servers that offer it (https).")] = True
    allow_private: Annotated[bool, Field(description="Whether private and loopback addresses may be reached.")] = False
    connect_to: Annotated[
        dict[str, str], Field(description="Host name -> IP:PORT to connect to instead (curl --connect-to).")
    ] = {}
    warc_max_bytes: Annotated[int, Field(ge=1, description="A WARC file beyond this is closed, a new one begun.")] = (
        1_000_000_000
    )

    @field_validator("seeds")
    @classmethod
    def _seeds_are_addresses(cls, seeds: tuple[str, ...]) -> tuple[str, ...]:
        found = [(seed, normalise(seed)) for seed in seeds]
        for seed, url in found:
            if url is None:
                raise ValueError(f"{seed!r} is not an http or https address, such as https://example.org/")
        return tuple(url for _, url in found if url is not None)

    @field_validator("hosts")
    @classmethod
    def _hosts_are_names(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            if host_pattern(host) is None:
                raise ValueError(f"{host!r} is not a host name, such as docs.example.org or *.example.org")
        return hosts

    @field_validator("connect_to")
    @classmethod
    def _targets_are_addresses(cls, targets: dict[str, str]) -> dict[str, str]:
        for host, target in targets.items():
            address, colon, port = target.rpartition(":")
            if not (colon and address and port.isdigit()):
                raise ValueError(f"connect_to[{host!r}] is {target!r}, expected IP:PORT, such as 127.0.0.1:8080")
        return {host.lower(): target for host, target in targets.items()}

    @model_validator(mode="after")
    def _something_to_crawl(self) -> CrawlConfig:
        if not self.seeds and self.site is None:
            raise ValueError("a crawl needs `seeds` (a list of addresses) or `site: pydoc`")
        for seed in self.seeds:
            if not Scope([host_of(seed)], (), self.exclude).holds(seed):
                raise ValueError(f"the seed {seed} matches one of the crawl's own `exclude` patterns")
        return self

    def scope(self) -> Scope:
        """Which addresses belong to the crawl."""
        return Scope([*(host_of(seed) for seed in self.seeds), *self.hosts], self.include, self.exclude)

    def digest(self) -> str:
        """SHA-256 (hex) of what decides about the crawl's result.

        Not part of it are `connect_to` (a port changes) and `workers`, which share the work and change no verdict.
        """
        fields = self.model_dump(mode="json", exclude={"connect_to", "workers"})
        defaults = CrawlConfig.model_construct().model_dump(mode="json", include=set(_LATER))
        said = {name: value for name, value in fields.items() if name not in _LATER or value != defaults[name]}
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()

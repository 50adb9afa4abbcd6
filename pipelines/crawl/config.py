"""What to crawl, how politely, and where it must end."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from pipelines.crawl.url import normalise


class CrawlConfig(BaseModel):
    """The fields of a crawl; each limit has a default that a stranger's site can bear.

    Every request to one host waits until `delay` seconds (or the host's Crawl-delay, if longer) have passed since the
    last answer came in, one request at a time. All that is not stated here about politeness is RFC 9309.
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
    max_crawl_delay: Annotated[float, Field(gt=0, description="A host that asks for more is not crawled.")] = 60.0
    max_pages: Annotated[int, Field(ge=1, description="Page requests in total, whatever becomes of them.")] = 1000
    max_depth: Annotated[int | None, Field(ge=0, description="Links from a seed; null: no limit.")] = None
    hosts: Annotated[tuple[str, ...], Field(description="Hosts in scope beside those of the seeds.")] = ()
    content_types: Annotated[tuple[str, ...], Field(description="Media types that are kept.")] = (
        "text/html",
        "application/xhtml+xml",
    )
    max_body_bytes: Annotated[int, Field(ge=1, description="A longer body is given up.")] = 20_000_000
    max_links: Annotated[int, Field(ge=0, description="Links followed from one page.")] = 10_000
    timeout: Annotated[float, Field(gt=0, description="Seconds for one request, connection and body included.")] = 30.0
    max_redirects: Annotated[int, Field(ge=0, description="Redirects in a row (robots.txt: RFC 9309, 2.3.1.2).")] = 5
    max_retries: Annotated[int, Field(ge=0, description="New tries after 429, 503 or a broken connection.")] = 2
    max_retry_after: Annotated[float, Field(ge=0, description="Longest Retry-After that is waited for, s.")] = 60.0
    concurrent_hosts: Annotated[int, Field(ge=1, description="Hosts asked at the same time.")] = 8
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
        return self

    def digest(self) -> str:
        """SHA-256 (hex) of what decides about the crawl's result; `connect_to` is not part of it (a port changes)."""
        fields = self.model_dump(mode="json", exclude={"connect_to"})
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()

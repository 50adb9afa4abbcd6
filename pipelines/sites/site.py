"""A sample site while it is served."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Site:
    """Where a crawl starts on a sample site, and where its host name leads.

    Attributes:
        url: the seed; its host name is in the reserved domain .test (RFC 6761), so addresses depend on no port.
        address: "127.0.0.1:PORT" that serves it.
    """

    url: str
    address: str

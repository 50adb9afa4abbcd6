"""Licences that pages link to (`rel=license`), as SPDX identifiers."""

from __future__ import annotations

import re

_CREATIVE_COMMONS = re.compile(
    r"https?://(?:www\.)?creativecommons\.org/(?:licenses/([a-z-]+)/(\d\.\d)|publicdomain/(zero|mark)/(\d\.\d))"
    r"(?:/([a-z]{2,3}))?(?:/|$)",
    re.IGNORECASE,
)
_KINDS = frozenset({"by", "by-nc", "by-nc-nd", "by-nc-sa", "by-nd", "by-sa"})
_OTHERS = (
    (re.compile(r"https?://(?:www\.)?apache\.org/licenses/license-2\.0", re.IGNORECASE), "Apache-2.0"),
    (re.compile(r"https?://(?:www\.)?opensource\.org/licenses?/mit\b", re.IGNORECASE), "MIT"),
    (re.compile(r"https?://(?:www\.)?gnu\.org/licenses/fdl-1\.3", re.IGNORECASE), "GFDL-1.3-or-later"),
    (re.compile(r"https?://(?:www\.)?gnu\.org/licenses/old-licenses/fdl-1\.2", re.IGNORECASE), "GFDL-1.2-or-later"),
)


def spdx_of(link: str) -> str | None:
    """The SPDX identifier of a licence's address; None for one that is not known, which is never guessed.

    Ported Creative Commons licences ("/licenses/by/3.0/de/") have identifiers of their own, with the country.
    """
    link = link.strip()
    match = _CREATIVE_COMMONS.match(link)
    if match is not None:
        kind, version, domain, domain_version, country = match.groups()
        if domain is not None:
            return "CC0-1.0" if (domain.lower(), domain_version) == ("zero", "1.0") else None
        if kind.lower() not in _KINDS:
            return None
        port = f"-{country.upper()}" if country and version < "4.0" and len(country) == 2 else ""
        return f"CC-{kind.upper()}-{version}{port}"
    return next((identifier for pattern, identifier in _OTHERS if pattern.match(link)), None)

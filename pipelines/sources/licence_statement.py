"""What a record says of its licence, in words, as an address or as an identifier, as an SPDX identifier.

Never a guess: a statement that is not one of the known forms gives None, and is kept as it is in the metadata.
"""

from __future__ import annotations

import functools
import re

from pipelines.sources.licence import licence_of

_ADDRESS = re.compile(
    r"creativecommons\.org/(?:licenses/(?P<kind>by(?:-(?:nc|nd|sa))*)/(?P<version>\d\.\d)(?:/(?P<country>[a-z]{2}))?"
    r"|publicdomain/(?P<public>zero|mark)/1\.0)",
    re.IGNORECASE,
)
_NAME = re.compile(
    r"\s*(?:creative\s*commons|cc)?[\s-]*(?P<kind>by(?:-(?:nc|nd|sa))*|attribution(?:[\s-]+(?:non-?commercial|no-?deriv"
    r"(?:ative)?s|share-?alike))*)[\s,-]*v?(?P<version>\d\.\d)(?:\s+(?:international|unported|generic))?"
    r"(?:\s+licen[cs]e)?\s*(?:\([^()]*\))?\s*\.?\s*",
    re.IGNORECASE,
)
_ZERO = re.compile(
    r"\s*(?:creative\s*commons\s*)?(?:cc[\s-]*0|cc-?zero)[\s-]*(?:v?1\.0)?(?:\s+universal)?\s*\.?\s*", re.I
)
_WORDS = (
    ("attribution", "by"),
    ("noncommercial", "nc"),
    ("non-commercial", "nc"),
    ("noderivatives", "nd"),
    ("noderivs", "nd"),
    ("no-derivatives", "nd"),
    ("no-derivs", "nd"),
    ("sharealike", "sa"),
    ("share-alike", "sa"),
)
# Creative Commons licences whose country's version is a licence of its own on SPDX's list.
_PORTED = {
    "CC-BY-3.0": ("AT", "AU", "DE", "IGO", "NL", "US"),
    "CC-BY-2.5": ("AU",),
    "CC-BY-SA-3.0": ("AT", "DE", "IGO"),
    "CC-BY-SA-2.0": ("UK",),
    "CC-BY-SA-2.1": ("JP",),
}


@functools.lru_cache(4096)
def spdx(statement: str) -> str | None:
    """The SPDX expression that a statement means; None where it is not one that is known.

    Known are SPDX expressions, the addresses of Creative Commons wherever they stand in a text (if all of them name
    one licence), the names of its licences with their version, and the short names that `licence_of` knows.
    """
    found = {_of_address(match) for match in _ADDRESS.finditer(statement)}
    if found:
        return found.pop() if len(found) == 1 else None
    if _ZERO.fullmatch(statement):
        return "CC0-1.0"
    name = _NAME.fullmatch(statement)
    if name is not None:
        return _creative_commons(name["kind"], name["version"])
    if len(statement) > 200 or not statement.strip():
        return None
    return licence_of({"License-Expression": [statement]}, [])[0] or licence_of({"License": [statement]}, [])[0]


def _of_address(match: re.Match[str]) -> str:
    if match["public"] is not None:
        return "CC0-1.0" if match["public"].lower() == "zero" else "LicenseRef-Public-Domain"
    plain = _creative_commons(match["kind"], match["version"])
    country = (match["country"] or "").upper()
    return f"{plain}-{country}" if country in _PORTED.get(plain, ()) else plain


def _creative_commons(kind: str, version: str) -> str:
    kind = "-".join(kind.lower().split())
    for word, short in _WORDS:
        kind = kind.replace(word, short)
    return f"CC-{kind.upper()}-{version}"

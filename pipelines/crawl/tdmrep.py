"""The TDM Reservation Protocol's file: what a site reserves of its pages for text and data mining (W3C, 2024).

`/.well-known/tdmrep.json` holds rules for paths, the first that matches decides. What a page's header fields say stands
above the file, and what its meta tags say above both (section "Processing priority").
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from pipelines.robots import matches, normalised, path_of

PATH = "/.well-known/tdmrep.json"
NAME = "tdmrep.json"
MAX_BODY = 1_000_000
MAX_RULES = 10_000
"""Bytes and rules of a file that are read; a longer one is an error of the protocol, as one that is no JSON."""


@dataclass(frozen=True, slots=True)
class TdmRule:
    """One rule: a path pattern as in robots.txt, whether rights are reserved, and where the policy is."""

    location: bytes
    reserved: bool
    policy: str = ""


@dataclass(frozen=True, slots=True)
class TdmFile:
    """The rules of a site; `error` says what is wrong with the file, "" where nothing is."""

    rules: tuple[TdmRule, ...] = ()
    error: str = ""

    @classmethod
    def parse(cls, body: bytes) -> TdmFile:
        """Read a file; never raises. A file or rule with an error says nothing (as the protocol has it: unset)."""
        if len(body) > MAX_BODY:
            return cls(error=f"{len(body)} bytes, the limit is {MAX_BODY}")
        try:
            found = json.loads(body.decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            return cls(error=f"not JSON: {error}"[:200])
        if not isinstance(found, list):
            return cls(error=f"expected an array of rules, found {type(found).__name__}")
        items = cast("list[object]", found)
        rules = [_rule(cast("Mapping[str, Any]", item)) for item in items[:MAX_RULES] if isinstance(item, dict)]
        wrong = len(items) - sum(rule is not None for rule in rules)
        return cls(tuple(rule for rule in rules if rule is not None), f"{wrong} rules with errors" if wrong else "")

    def said(self, url: str) -> str:
        """What the file says of an address, as header fields would ("tdm-reservation: 1; tdm-policy: ..."), or ""."""
        path = path_of(url)
        for rule in self.rules:
            if matches(rule.location, path):
                policy = f"; tdm-policy: {rule.policy}" if rule.policy else ""
                return f"tdm-reservation: {int(rule.reserved)}{policy}"
        return ""


def _rule(item: Mapping[str, Any]) -> TdmRule | None:
    location, reservation, policy = (item.get(name) for name in ("location", "tdm-reservation", "tdm-policy"))
    # The number as text is seen, and leaves no doubt; true is no integer in JSON.
    if isinstance(reservation, bool) or str(reservation) not in ("0", "1") or not isinstance(location, str):
        return None
    pattern = location if location.startswith(("/", "*")) else f"/{location}"
    link = " ".join(policy.split())[:2000] if isinstance(policy, str) else ""
    return TdmRule(normalised(pattern.encode("utf-8", "replace"), unescape=True), str(reservation) == "1", link)

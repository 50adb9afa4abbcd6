"""The preset ``afm``: each filter that Apple's report names, the five categories it names dropped, ours told."""

from __future__ import annotations

import pyarrow as pa

import filters
from filters.pii.span import KINDS
from filters.safety import categories, taxonomy

FAMILIES = ["gopher", "c4", "llama3", "safety", "pii", "encoding"]
PROSE = (
    "The committee of the town met on Tuesday to discuss the new bridge over the river. Its members had walked along "
    "the bank that morning with the engineer, who told them what the old piers could carry and where the water had "
    "washed out the ground. They asked how long the work would take. Nobody could say, because the winter had been "
    "wet, and the stone for the arches comes by boat from a quarry in the north. In the end it was agreed that a "
    "second survey should be made before the money is spent. The mayor thanked all of those who had come. "
)
SPAM = (
    "Free porn tube: milf gangbang, creampie, cumshot and bukkake videos! Hot shemale blowjob and deepthroat camgirl. "
)


def decided(*texts: str) -> list[dict[str, object]]:
    signals = filters.measure(pa.array(texts), FAMILIES)
    return filters.decide(signals, filters.rules("afm")).to_pylist()


def test_each_filter_of_the_report_is_there() -> None:
    rules = filters.rules("afm")
    assert len({rule.name for rule in rules}) == len(rules)
    signals = {rule.signal: rule for rule in rules}
    assert {f"pii.{kind}" for kind in KINDS} <= signals.keys()
    assert {f"safety.{name}" for name in categories()} <= signals.keys()
    assert {signal.partition(".")[0] for signal in signals} == set(FAMILIES)
    named = {one.name for one in taxonomy() if one.named_by == "AFM"}
    assert len(named) == 5
    for name in categories():
        assert signals[f"safety.{name}"].action == ("drop" if name in named else "tag")


def test_it_keeps_prose_and_drops_what_the_report_drops() -> None:
    numbers = [f"Write to jane.doe{n}@firma.org or call +1 650 253 00{n:02}." for n in range(7)]
    mails = [f"The clerk has the address jane.doe{n}@firma.org and answers." for n in range(7)]
    prose, adult, phones, addresses, few, casino = decided(
        PROSE,
        PROSE + SPAM * 8,
        PROSE + " ".join(numbers),
        PROSE + " ".join(mails),
        PROSE + mails[0],
        PROSE + "Online casino bonus: free spins, no deposit bonus and real money slots. Play blackjack online! " * 4,
    )
    assert prose["keep"]
    assert prose["failed"] == []
    assert "afm-safety-adult-sexual-material" in adult["failed"]  # type: ignore[operator]
    assert not adult["keep"]
    assert {"afm-phone", "afm-email"} <= set(phones["failed"])  # type: ignore[call-overload]
    assert not addresses["keep"]
    assert few["keep"]
    assert "afm-safety-regulated-goods" in casino["failed"]  # type: ignore[operator]
    assert casino["reason"] != "afm-safety-regulated-goods"  # told, and no reason to drop

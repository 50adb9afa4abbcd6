"""Published mixtures by the roles of their parts, each share with where it is from.

A role is what a part is for ("code", "multilingual"); a recipe's entry of that name says which documents it is. Where a
report gives no share, the share here is ours, and `published` says so: it is an option, which a recipe may set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Point:
    """Shares of the roles from (or, in a linear schedule, at) a progress of training between 0 and 1."""

    at: float
    shares: Mapping[str, float]


@dataclass(frozen=True)
class Preset:
    """One published mixture.

    `shares` are shares of tokens by role, or the `points` of a schedule that is constant between them. `tokens` is the
    budget that the report names, which a recipe takes where it names none. `unpublished` names the roles whose share no
    report gives.
    """

    source: str
    tokens: int | None
    shares: Mapping[str, float]
    points: tuple[Point, ...] = ()
    unpublished: tuple[str, ...] = ()
    about: str = ""

    @property
    def roles(self) -> tuple[str, ...]:
        """Names of the parts, in the report's order."""
        named = [*self.shares, *(role for point in self.points for role in point.shares)]
        return tuple(dict.fromkeys(named))

    @property
    def published(self) -> bool:
        """Whether the report gives every share."""
        return not self.unpublished


def _ours(**given: float) -> tuple[Mapping[str, float], tuple[str, ...]]:
    return given, tuple(given)


_AFM = "AFM, arXiv 2407.21075"
_CORE, _CORE_OURS = _ours(web=0.75, code=0.15, math=0.05, public=0.05)
_CONTINUED, _CONTINUED_OURS = _ours(web=0.40, code=0.30, math=0.15, licensed=0.10, public=0.05)
_CONTEXT, _CONTEXT_OURS = _ours(web=0.32, code=0.24, math=0.12, licensed=0.08, public=0.04, long_context=0.20)
_QWEN2, _QWEN2_OURS = _ours(web=0.65, code=0.15, math=0.08, multilingual=0.10, instruction=0.02)
_BILINGUAL = {"chinese": 0.40, "english": 0.40, "code": 0.20}

PRESETS: Mapping[str, Preset] = {
    "afm_core": Preset(
        f"{_AFM} sec 3.2.1",
        6_300_000_000_000,
        _CORE,
        unpublished=_CORE_OURS,
        about="6.3T tokens of mostly crawl, with code, mathematics and public sets.",
    ),
    "afm_continued": Preset(
        f"{_AFM} sec 3.2.2",
        1_000_000_000_000,
        _CONTINUED,
        unpublished=_CONTINUED_OURS,
        about="1T tokens: mathematics and code weigh more, bulk crawl less, licensed text comes in.",
    ),
    "afm_context": Preset(
        f"{_AFM} sec 3.2.3",
        100_000_000_000,
        _CONTEXT,
        unpublished=_CONTEXT_OURS,
        about="100B tokens: the continued mixture with synthetic long-context questions and answers.",
    ),
    "llama3": Preset(
        "Llama 3, arXiv 2407.21783 sec 3.1.2",
        15_600_000_000_000,
        {"general": 0.50, "math": 0.25, "code": 0.17, "multilingual": 0.08},
        about="General knowledge 50 %, mathematics and reasoning 25 %, code 17 %, multilingual 8 %; 15.6T tokens "
        "(section 1; 6 · 405B · 15.6T are the 3.8e25 FLOPs of section 3.2.1).",
    ),
    "llama3_anneal": Preset(
        "Llama 3, arXiv 2407.21783 sec 3.1.3",
        40_000_000_000,
        {"new": 0.30, "default": 0.70},
        about="What a small set is worth: 40B tokens while the learning rate falls to 0, 30 % new, 70 % default.",
    ),
    "minicpm": Preset(
        "MiniCPM, arXiv 2404.06395 sec 5 and table 1",
        None,
        {},
        (
            Point(0.0, {"pretrain": 1.0, "high_quality": 0.0, "instruction": 0.0}),
            Point(0.9, {"pretrain": 0.6, "high_quality": 0.25, "instruction": 0.15}),
        ),
        ("pretrain", "high_quality", "instruction"),
        "Stable, then a decay into which high-quality and instruction data are mixed (table 1 compares with and "
        "without). That about a tenth of the tokens is enough for the decay is the report's finding (2.5 % were not); "
        "its own models decayed with a half-life of 5,000 steps after some 1T tokens. Shares by role are not in its "
        "text: its figure names data sets.",
    ),
    "nemotron4": Preset(
        "Nemotron-4 340B, arXiv 2406.11704 sec 2.1",
        8_000_000_000_000,
        {"english": 0.70, "multilingual": 0.15, "code": 0.15},
        about="8T tokens: English 70 %, 53 other languages 15 %, 43 programming languages 15 %.",
    ),
    "nemotron4_continued": Preset(
        "Nemotron-4 340B, arXiv 2406.11704 sec 2.3",
        1_000_000_000_000,
        {"english": 0.665, "multilingual": 0.1425, "code": 0.1425, "alignment": 0.05},
        unpublished=("english", "multilingual", "code", "alignment"),
        about="1T tokens, mostly seen before: sources of higher quality and weak domains weigh more, and a small share "
        "is alignment-style questions and answers. No share of it is published; here the first stage's 70/15/15 makes "
        "room for one twentieth.",
    ),
    "qwen2": Preset(
        "Qwen2, arXiv 2407.10671 sec 3.1",
        7_000_000_000_000,
        _QWEN2,
        unpublished=_QWEN2_OURS,
        about="7T tokens (the 0.5B model: 12T of a looser filter, the mixture of experts 4.5T more) with more code, "
        "mathematics and languages than before, and multi-task instruction data inside pretraining.",
    ),
    "chinese_english": Preset(
        "no single report: Chinese and English half and half, as bilingual models are built, with code",
        None,
        _BILINGUAL,
        unpublished=("chinese", "english", "code"),
        about="Chinese and English in equal parts, and code.",
    ),
    "instruction_in_pretraining": Preset(
        "Qwen2, arXiv 2407.10671 sec 3.1; MiniCPM, arXiv 2404.06395 sec 5",
        None,
        {"pretrain": 0.95, "instruction": 0.05},
        unpublished=("pretrain", "instruction"),
        about="Pretraining text with some instruction data in it.",
    ),
}
"""By name. Published are the shares of Llama 3 (both) and of Nemotron-4's first stage, no others.

Checked against the notes of the project on the reports; where these have no number (Llama 3's 15.6T, Qwen 2's 4.5T),
against public summaries of the reports.
"""

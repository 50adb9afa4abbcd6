"""How near-duplicates are found and verified: parameters and the published presets."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from dedup import bands as _bands
from dedup.minhash import MinHashConfig
from dedup.shingles import Profile

__all__ = ["PRESETS", "DedupConfig", "Preference"]

Preference = Literal["quality", "length", "priority", "date"]
"""What decides between copies, in an order that the configuration states; the smallest id comes last of all."""

# Bands, rows and shingles as published; where a source states no verified similarity, the threshold is ours and lies
# near the curve's midpoint (1/bands)^(1/rows).
PRESETS: Final[dict[str, dict[str, Any]]] = {
    # FineWeb (2406.17557, section 3.4): 112 hashes, 14 x 8, 5-grams, aimed at 0.75 and more; verified here at 0.7 along
    # edges.
    "fineweb": {"bands": 14, "rows": 8, "shingle": 5, "threshold": 0.7},
    # Lee et al. (2107.06499): 9,000 hashes, 450 x 20, 5-grams, verified above 0.8. RefinedWeb uses the same.
    "lee": {"bands": 450, "rows": 20, "shingle": 5, "threshold": 0.8},
    # DCLM (2406.11794), the MinHash alternative: 1,395 hashes, 93 x 15, 5-grams; midpoint 0.74.
    "dclm": {"bands": 93, "rows": 15, "shingle": 5, "threshold": 0.7},
    # NeMo Curator: 260 hashes, 20 x 13, 24-grams of characters; midpoint 0.79. Unlike Curator we count white space
    # once.
    "curator": {"bands": 20, "rows": 13, "shingle": 24, "profile": "characters", "threshold": 0.8},
    # AFM (2407.21075, section 3.1) names "locality-sensitive n-gram hashing" and prints no number: this choice is OURS.
    # 20 x 8 of 5-grams finds 69 % at 0.7 and 97 % at 0.8 (fineweb 56 and 92) for 1.4 times the hashing.
    "afm": {"bands": 20, "rows": 8, "shingle": 5, "threshold": 0.7},
}


class DedupConfig(BaseModel):
    """Parameters of ``deduplicate`` and of ``Index``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    threshold: Annotated[float, Field(gt=0.0, le=1.0)] = (
        0.7  # verified Jaccard similarity of shingle sets from which texts match
    )
    bands: Annotated[int, Field(ge=1, le=4096)] = 14
    rows: Annotated[int, Field(ge=1, le=256)] = 8
    shingle: Annotated[int, Field(ge=1, le=1000)] = 5
    seed: Annotated[int, Field(ge=0, lt=1 << 64)] = 0
    profile: Profile = "auto"
    # In a bucket of at most this many texts every pair is compared; in a larger one, each with this many others
    # (`dedup.pairs`).
    representatives: Annotated[int, Field(ge=4, le=1024)] = 8
    # Besides the shingles, the words in their order must agree so far: 1 - Levenshtein distance / longer length, over
    # words (Lee et al., 2107.06499, section 4.2: 0.8). None asks for no such agreement.
    edit_similarity: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    # How far from the kept copy a removed one may lie: the sum of 1 - similarity along verified edges. Jaccard distance
    # is a metric, so no text is removed whose similarity with the kept one is below 1 - spread. By default two edges
    # of the threshold: 2 (1 - threshold).
    spread: Annotated[float, Field(ge=0.0)] | None = None
    # Exact copies are texts of the same bytes, or ("normalised") the same after Unicode's NFC, case folding and with
    # white space counted once.
    exact: Literal["bytes", "normalised"] = "bytes"
    # Of documents with one URL (column `url`) only the newest, or the best, stays, however they differ.
    url: Literal["newest", "best"] | None = None
    # Which copy stays: the first in this order, then by the smallest id. Higher quality and priority come first, longer
    # texts, and by `date` the newest or oldest; what is not known comes last.
    order: tuple[Preference, ...] = ("quality", "length", "priority", "date")
    date: Literal["newest", "oldest"] = "newest"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.spread is not None and self.spread < 1.0 - self.threshold - 1e-9:
            raise ValueError(
                f"spread: found {self.spread:g}, expected {1.0 - self.threshold:g} or more: a match of the threshold "
                f"{self.threshold:g} lies that far away"
            )
        if len(set(self.order)) < len(self.order):
            raise ValueError(f"order: found {', '.join(self.order)}, expected each name once")
        return self

    @classmethod
    def preset(cls, name: str) -> Self:
        """Return a published configuration: "fineweb", "lee", "dclm" or "curator"; or "afm", which is our choice.

        Raises:
            ValueError: there is no preset of that name.
        """
        if name not in PRESETS:
            raise ValueError(f'preset: found "{name}", expected one of {", ".join(sorted(PRESETS))}')
        return cls(**PRESETS[name])

    @classmethod
    def for_threshold(
        cls,
        threshold: float,
        permutations: int = 128,
        false_positive_weight: float = 0.5,
        false_negative_weight: float = 0.5,
        **others: Any,
    ) -> Self:
        """Let datasketch choose bands and rows for a threshold and error weights; see ``dedup.bands.choose``."""
        bands, rows = _bands.choose(threshold, permutations, false_positive_weight, false_negative_weight)
        return cls(threshold=threshold, bands=bands, rows=rows, **others)

    @property
    def reach(self) -> float:
        """The `spread` that counts, a default resolved."""
        return 2.0 * (1.0 - self.threshold) if self.spread is None else self.spread

    @property
    def minhash(self) -> MinHashConfig:
        """The configuration of the signatures that these bands need."""
        return MinHashConfig(
            permutations=self.bands * self.rows, shingle=self.shingle, seed=self.seed, profile=self.profile
        )

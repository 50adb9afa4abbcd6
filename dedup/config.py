"""How near-duplicates are found and verified: parameters and the published presets."""

from __future__ import annotations

from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field

from dedup import bands as _bands
from dedup.minhash import MinHashConfig
from dedup.shingles import Profile

__all__ = ["PRESETS", "DedupConfig"]

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
    # In a bucket of at most this many texts every pair is compared; in a larger one, each text with this many
    # representatives.
    representatives: Annotated[int, Field(ge=1, le=4096)] = 32

    @classmethod
    def preset(cls, name: str) -> Self:
        """Return a published configuration: "fineweb", "lee", "dclm" or "curator".

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
    def minhash(self) -> MinHashConfig:
        """The configuration of the signatures that these bands need."""
        return MinHashConfig(
            permutations=self.bands * self.rows, shingle=self.shingle, seed=self.seed, profile=self.profile
        )

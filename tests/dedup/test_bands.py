from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from dedup import DedupConfig
from dedup.bands import candidate_probability, choose
from dedup.minhash import band_keys, signatures


@pytest.mark.parametrize(
    ("preset", "expected"),
    [  # per cent at similarities 0.7, 0.75, 0.8, 0.85, as published or derived for each configuration
        ("fineweb", [56, 77, 92, 99]),
        ("lee", [30, 76, 99.5, 100]),
        ("dclm", [36, 71, 96, 100]),
        ("curator", [18, 38, 68, 92]),
        ("afm", [69.4, 88.0, 97.4, 99.8]),
    ],
)
def test_presets_have_the_published_curves(preset: str, expected: list[float]) -> None:
    config = DedupConfig.preset(preset)
    found = candidate_probability([0.7, 0.75, 0.8, 0.85], config.bands, config.rows) * 100
    assert np.allclose(found, expected, atol=0.6)
    assert config.minhash.permutations == config.bands * config.rows


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(ValueError, match='found "finewb", expected one of afm, curator, dclm, fineweb, lee'):
        DedupConfig.preset("finewb")
    with pytest.raises(ValueError, match="band"):
        DedupConfig(band=3)  # type: ignore[call-arg]


def test_choose_is_the_optimum_of_a_plain_search() -> None:
    threshold, permutations = 0.6, 32
    grid = np.linspace(0, 1, 20001)

    def cost(bands: int, rows: int) -> float:
        curve = candidate_probability(grid, bands, rows)
        step = grid[1] - grid[0]
        return 0.3 * curve[grid < threshold].sum() * step + 0.7 * (1 - curve[grid >= threshold]).sum() * step

    every = [(b, r) for b in range(1, permutations + 1) for r in range(1, permutations // b + 1)]
    best = min(every, key=lambda pair: cost(*pair))
    assert choose(threshold, permutations, 0.3, 0.7) == best


def test_a_config_can_be_chosen_by_threshold() -> None:
    config = DedupConfig.for_threshold(0.8, 256, 0.1, 0.9, shingle=13)
    assert config.threshold == 0.8
    assert config.shingle == 13
    assert config.bands * config.rows <= 256
    indifferent = DedupConfig.for_threshold(0.8, 256)
    lost, lost_indifferent = (1 - candidate_probability(0.85, c.bands, c.rows) for c in (config, indifferent))
    assert lost < lost_indifferent  # who weighs lost duplicates more loses fewer


@pytest.mark.parametrize("arguments", [(0.0, 128, 0.5, 0.5), (0.5, 1, 0.5, 0.5), (0.5, 128, 0.5, 0.6)])
def test_wrong_wishes_are_refused(arguments: tuple[float, int, float, float]) -> None:
    with pytest.raises(ValueError, match="found"):
        choose(*arguments)


def test_candidates_follow_the_curve(planted: Callable[[float, int, int, int], list[tuple[str, str]]]) -> None:
    pairs = planted(0.7, 100, 300, 9)
    left, right = (band_keys(signatures(pa.array([pair[side] for pair in pairs])), 14, 8) for side in (0, 1))
    found = np.any(left == right, axis=1).mean()
    expected = float(candidate_probability(0.7, 14, 8))
    assert found == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / 300))

"""Mixtures of a supply: exact counts, caps that hold, RegMix finding a mixture that is known to be best."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.proxies import regmix
from pipelines.proxies.supply import Drawn, Pool, Supply, as_weights, taken, whole_counts
from pipelines.recipe import StageMix
from pipelines.recipe_errors import RecipeError

NAMES = ("web", "code", "math")


def supply(caps: tuple[float, ...] = (4.0, 4.0, 4.0), tokens: int = 4_000) -> Supply:
    return Supply(NAMES, np.array([8_000, 3_000, 1_000]), np.array(caps), tokens)


parts = st.lists(st.floats(0.0, 1.0), min_size=3, max_size=3).filter(lambda one: sum(one) > 0.01)


@given(raw=parts, tokens=st.integers(1, 10_000))
def test_counts_sum_to_the_tokens(raw: list[float], tokens: int) -> None:
    shares = np.array(raw) / sum(raw)
    counts = whole_counts(shares.tolist(), tokens)
    assert counts.sum() == tokens
    assert np.abs(counts - shares * tokens).max() <= 1


@given(
    lengths=st.lists(st.integers(1, 30), min_size=1, max_size=20),
    count=st.integers(0, 500),
    limit=st.integers(1, 400),
)
def test_documents_are_taken_until_the_count_and_never_past_the_limit(
    lengths: list[int], count: int, limit: int
) -> None:
    found = taken(lengths, count, limit)
    assert sum(tokens for _, tokens in found) == count
    assert all(0 < tokens <= lengths[row] for row, tokens in found)
    ends = np.cumsum(lengths)
    starts = ends - lengths
    assert all(starts[row] < limit for row, _ in found)
    # whole passes come before a document is taken once more
    times = np.bincount([row for row, _ in found], minlength=len(lengths))
    reached = times[starts < min(limit, ends[-1])]
    assert not len(found) or reached.max() - reached.min() <= 1


@given(raw=parts)
def test_weights_sum_to_one_and_keep_the_caps(raw: list[float]) -> None:
    tight = supply((0.4, 4.0, 4.0))
    weights = as_weights(tight, np.array(raw))
    StageMix.model_validate({"weights": weights, "tokens": 4_000})
    assert round(sum(weights.values()), 9) == 1
    assert weights["web"] <= tight.most[0] + 1e-9


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000))
def test_random_mixtures_are_feasible_and_lie_around_the_supply(seed: int) -> None:
    tight = supply((0.4, 4.0, 1.0))
    drawn = regmix.mixtures(tight, 200, seed)
    assert drawn.shape == (200, 3)
    assert np.allclose(drawn.sum(axis=1), 1)
    assert tight.feasible(drawn).all()
    free = regmix.mixtures(supply(tokens=1_000), 400, seed)
    assert np.abs(free.mean(axis=0) - supply().natural).max() < 0.1


def test_no_two_proxies_are_trained_on_one_mixture() -> None:
    drawn = regmix.designs(supply(tokens=1_000), 64, 0)
    gaps = np.abs(drawn[:, None] - drawn[None]).max(axis=2) + np.eye(64)
    assert gaps.min() > regmix.APART
    plain = regmix.mixtures(supply(tokens=1_000), 64, 0)
    assert (np.abs(plain[:, None] - plain[None]).max(axis=2) + np.eye(64)).min() < regmix.APART
    # one mixture alone is feasible here, and no random one will be it
    only = Supply(NAMES, np.array([500, 300, 200]), np.ones(3), 1_000)
    with pytest.raises(RecipeError, match="within the epoch caps"):
        regmix.designs(only, 4, 0)


def test_caps_that_no_mixture_can_meet_are_told_with_the_most_that_can() -> None:
    short = supply((1.0, 1.0, 1.0), tokens=20_000)
    with pytest.raises(RecipeError) as error:
        short.check()
    assert "12,000" in error.value.problems[0]
    assert "set tokens to 12,000" in error.value.problems[0]


def test_regmix_finds_a_mixture_that_is_near_the_best() -> None:
    """64 noisy losses of a known surface whose best feasible mixture is known from a fine grid."""
    stock = supply((0.45, 4.0, 4.0))  # at most 0.9 web
    planted = np.array([0.5, 0.35, 0.15])

    def loss(r: np.ndarray) -> np.ndarray:
        return 3.0 + ((r - planted) ** 2).sum(axis=1)

    mixtures = regmix.mixtures(stock, 64, 3)
    losses = loss(mixtures) + np.random.default_rng(0).normal(0, 0.005, 64)
    regression = regmix.fit(mixtures, losses)
    found, predicted = regmix.propose(stock, regression, 0, 20_000)
    assert regression.rank_correlation > 0.85
    assert stock.feasible(found)
    assert found.sum() == pytest.approx(1)
    # better than nine tenths of the mixtures that it learnt from, and near the planted one
    assert loss(found[None])[0] < np.quantile(losses, 0.1)
    assert np.abs(found - planted).max() < 0.12
    assert predicted == pytest.approx(3.0, abs=0.05)


@pytest.fixture(scope="module")
def mixed_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real run of two sources, built in seconds."""
    from pipelines import recipe
    from pipelines import run as runs
    from pipelines.engines.local import LocalEngine
    from tests import tiny

    folder = tmp_path_factory.mktemp("mixed")
    file = tiny.write(folder)
    value = yaml.safe_load(file.read_text())
    value["decontaminate"] = {}
    file.write_text(yaml.safe_dump(value))
    engine = LocalEngine(1)
    return runs.build(recipe.load(file), runs.Options(folder / "run"), engine)


def pool_of(run: Path, out: Path, tokens: int = 4_000) -> Pool:
    from pipelines.proxies.supply import supply_of

    mix = StageMix.model_validate({"weights": {"pages": 0.7, "maths": 0.3}, "tokens": 20_000})
    made, tokenized = supply_of(run, mix)
    return Pool.make(run, made, tokenized, out, tokens)


def test_a_drawn_mixture_has_the_shares_asked_for_and_no_held_out_document(mixed_run: Path, tmp_path: Path) -> None:
    from pipelines.proxies.supply import heldout_ids
    from pipelines.storage import read_table
    from trainer.data.tokens import TokenStage

    pool = pool_of(mixed_run, tmp_path)
    for shares in ((0.25, 0.75), (1.0, 0.0), (0.6, 0.4)):
        folder = Drawn(pool, shares, 4_001, 0).folder(tmp_path / f"drawn-{shares[0]}")
        stage = TokenStage(folder)
        assert stage.tokens == 4_001
        table = read_table(folder / "documents.parquet")
        sums = table.group_by("source").aggregate([("length", "sum")])
        found = dict(zip(sums["source"].to_pylist(), sums["length_sum"].to_pylist(), strict=True))
        counts = whole_counts(shares, 4_001)
        assert found == {n: c for n, c in zip(("pages", "maths"), counts.tolist(), strict=True) if c}
        assert not set(table["id"].to_pylist()) & set(heldout_ids(mixed_run).to_pylist())


def test_drawn_tokens_are_those_of_the_run(mixed_run: Path, tmp_path: Path) -> None:
    """A document's tokens in a proxy's mixture are the text that the mixture holds."""
    from pipelines import tokenizer
    from pipelines.storage import read_table
    from trainer.data.runs import Runs
    from trainer.data.tokens import TokenStage

    folder = Drawn(pool_of(mixed_run, tmp_path), (0.5, 0.5), 3_000, 1).folder(tmp_path / "drawn")
    stage, table = TokenStage(folder), read_table(folder / "documents.parquet")
    library = tokenizer.load(mixed_run / "tokenizer" / "tokenizer.json")
    parts = sorted(mixed_run.glob("steps/05-decontaminate-*/documents/*.parquet"))
    texts = {r["id"]: r["text"] for p in parts for r in read_table(p, ["id", "text"]).to_pylist()}
    for row in table.to_pylist():
        ids = stage.read(Runs(*(np.array([one]) for one in (0, 0, row["start"], row["length"], 0))))
        assert ids[-1] == stage.manifest.eos_id
        assert texts[row["id"]].startswith(library.decode(ids[:-1].tolist()).rstrip("�"))


def test_scarce_sources_are_repeated_as_they_will_be(mixed_run: Path, tmp_path: Path) -> None:
    """A proxy of a tenth of the tokens sees a source three times where the mixture will."""
    from pipelines.storage import read_table

    pool = pool_of(mixed_run, tmp_path, 2_000)
    stock = pool.supply
    target = int(stock.have[1] * 3 / 0.9)  # 0.9 of it from maths would be three epochs
    scaled = Pool(
        pool.folder, Supply(stock.names, stock.have, np.array([9.0, 9.0]), target), pool.tokenizer, pool.digest
    )
    drawn = Drawn(scaled, (0.1, 0.9), min(2_000, target // 10))
    table = read_table(drawn.folder(tmp_path / "scarce") / "documents.parquet")
    own = [
        one
        for one, source in zip(table["id"].to_pylist(), table["source"].to_pylist(), strict=True)
        if source == "maths"
    ]
    times = np.unique(own, return_counts=True)[1]
    assert times.max() in (3, 4)
    free = read_table(Drawn(scaled, (0.1, 0.9), 2_000, repeats=False).folder(tmp_path / "free") / "documents.parquet")
    ids = [one for one, s in zip(free["id"].to_pylist(), free["source"].to_pylist(), strict=True) if s == "maths"]
    assert len(ids) == len(set(ids)) or stock.have[1] < 1_800
    assert drawn.digest != Drawn(scaled, (0.1, 0.9), 2_000, repeats=False).digest


def test_the_same_request_gives_the_same_bytes(mixed_run: Path, tmp_path: Path) -> None:
    one = Drawn(pool_of(mixed_run, tmp_path / "a"), (0.3, 0.7), 2_500, 5)
    two = Drawn(pool_of(mixed_run, tmp_path / "b"), (0.3, 0.7), 2_500, 5)
    assert one.digest == two.digest
    first, second = one.folder(tmp_path / "1"), two.folder(tmp_path / "2")
    for name in ("part-00000.bin", "documents.parquet", "manifest.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    assert Drawn(one.pool, (0.3, 0.7), 2_500, 6).digest != one.digest

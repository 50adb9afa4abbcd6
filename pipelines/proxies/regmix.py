"""RegMix: many tiny models on random mixtures, a regression from weights to loss, the best of simulated mixtures.

Liu et al., 2407.01492: 512 models of 1M parameters on 1B tokens; mixtures from Dirichlet distributions around the
token distribution, scaled by 0.1 to 5 (section 3.1); LightGBM (3.2); simulation, and the mean of the 100 best (3.3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.proxies.supply import Shares, Supply
from pipelines.recipe_errors import RecipeError

SCALES = (0.1, 5.0)
SIMULATED = 100_000
TOP = 100
FOLDS = 5
ROUNDS = 1000
TREES = {
    "objective": "regression",
    "learning_rate": 0.01,
    "min_data_in_leaf": 5,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}
TRIES = 200
APART = 0.01


def mixtures(supply: Supply, count: int, seed: int = 0) -> NDArray[np.float64]:
    """Draw `count` feasible mixtures around the supply's own distribution: float64 [count, sources].

    Dirichlet(scale · natural shares · sources), `scale` log-uniform in SCALES: small scales give corners, large ones
    give mixtures near the supply. (The paper scales the token distribution itself; its sources are seventeen, and with
    few sources that gives corners alone, so ours is scaled to a mean concentration of `scale`.) Draws that the epoch
    caps cannot give are drawn again.

    Raises RecipeError where next to none is feasible.
    """
    random = np.random.default_rng(seed)
    found = np.empty((0, len(supply.names)))
    tries = 0
    while len(found) < count:
        tries += 1
        if tries > TRIES:
            least = ", ".join(f"{name} {most:.3f}" for name, most in zip(supply.names, supply.most, strict=True))
            raise RecipeError(
                [f"of {TRIES * count} random mixtures only {len(found)} are within the epoch caps (largest shares: "
                 f"{least}); lower the stage's tokens or raise its epochs"]
            )  # fmt: skip
        scale = np.exp(random.uniform(np.log(SCALES[0]), np.log(SCALES[1]), count))
        concentration = np.maximum(scale[:, None] * supply.natural * len(supply.names), 1e-3)
        gamma = random.standard_gamma(concentration)
        total = gamma.sum(axis=1, keepdims=True)
        drawn = (gamma / np.where(total > 0, total, 1.0))[total[:, 0] > 0]
        found = np.concatenate([found, drawn[supply.feasible(drawn)]])
    return found[:count]


def designs(supply: Supply, count: int, seed: int = 0) -> NDArray[np.float64]:
    """Draw mixtures to train on: as `mixtures`, but none within APART of another in every share.

    Small scales give one and the same corner again and again, and its second proxy would teach nothing. Where the
    supply leaves no room for so many that differ, the rest are as they come.
    """
    drawn = mixtures(supply, 20 * count, seed)
    kept: list[int] = []
    for row in range(len(drawn)):
        if len(kept) < count and (not kept or np.abs(drawn[kept] - drawn[row]).max(axis=1).min() > APART):
            kept.append(row)
    rest = [row for row in range(len(drawn)) if row not in set(kept)]
    return drawn[sorted([*kept, *rest[: count - len(kept)]])]


@dataclass(frozen=True)
class Regression:
    """LightGBM from shares to loss, the mean of the folds' models, and how well it ranks what it has not seen."""

    models: list[Any]
    rank_correlation: float
    """Spearman's, of predictions for the fold left out."""
    error: float
    """Mean absolute error of the same."""

    def predict(self, shares: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the predicted loss of each mixture."""
        return np.mean([model.predict(shares) for model in self.models], axis=0)


def fit(shares: NDArray[np.float64], losses: NDArray[np.float64], seed: int = 0) -> Regression:
    """Fit the regression with five folds, each stopped early by what it leaves out.

    Learning rate 0.01 and up to 1,000 trees as in the paper's code; leaves of 5 and more examples are ours, since
    LightGBM's 20 leave next to nothing to split among 64.
    """
    import lightgbm
    from scipy.stats import spearmanr

    n = len(losses)
    fold = np.random.default_rng(seed).permutation(n) % FOLDS
    out = np.empty(n)
    models: list[Any] = []
    for number in range(FOLDS):
        held = fold == number
        seen = lightgbm.Dataset(shares[~held], losses[~held])
        model = lightgbm.train(
            {**TREES, "seed": seed},
            seen,
            num_boost_round=ROUNDS,
            valid_sets=[lightgbm.Dataset(shares[held], losses[held], reference=seen)],
            callbacks=[lightgbm.early_stopping(50, verbose=False)],
        )
        out[held] = np.asarray(model.predict(shares[held]))
        models.append(model)
    found: Any = spearmanr(out, losses)
    return Regression(models, float(found.statistic), float(np.abs(out - losses).mean()))


def propose(supply: Supply, regression: Regression, seed: int = 0, simulated: int = SIMULATED) -> tuple[Shares, float]:
    """Return the mean of the best simulated mixtures, all feasible, and its predicted loss.

    The mean of feasible mixtures is feasible: caps bound each share by itself.
    """
    drawn = mixtures(supply, simulated, seed + 1)
    predicted = regression.predict(drawn)
    best = drawn[np.argsort(predicted, kind="stable")[:TOP]].mean(axis=0)
    return best, float(regression.predict(best[None])[0])

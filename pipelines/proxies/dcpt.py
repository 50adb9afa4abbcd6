"""The D-CPT law: loss by model size, tokens and the share of one domain (Que et al., 2406.01375).

L(N, D, r) = E + A / N^α + B · r^η / D^β + C / (r + ε)^γ, of the domain's loss with its share r, and of the general loss
with the share of everything else, 1 - r. Fitted as Chinchilla is: Huber loss on log L, L-BFGS from many starts.

Across domains the report adds F / K^μ with a coefficient K of each domain. Of losses alone only the sum E + F / K^μ can
be told, the domain's floor: the law is fitted to several domains at once, each with a floor of its own and all else in
common, and a new domain needs a few proxies for its floor.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipelines.proxies import power_law

Array = NDArray[np.float64]
STARTS = 48
TINY = 1e-6
GRID = 100_001


@dataclass(frozen=True)
class DcptLaw:
    """A fitted law.

    `A` is 0 where all points were of one model size: a power of a constant belongs to E. `B` is 0 where all had equally
    many tokens: r^η alone can hardly be told from the other terms.
    """

    E: float
    A: float
    alpha: float
    B: float
    eta: float
    beta: float
    C: float
    epsilon: float
    gamma: float
    error: float = 0.0
    """Root mean square error of log L."""

    def predict(self, size: Array | float, tokens: Array | float, share: Array | float) -> Array:
        """Return the loss of models of `size` parameters after `tokens` tokens with `share` of the text in question."""
        n, d, r = (np.asarray(one, np.float64) for one in (size, tokens, share))
        with np.errstate(divide="ignore"):  # log 0 of a term that is not there
            of_size = np.exp(np.log(self.A) - self.alpha * np.log(n))  # n**alpha overflows where sizes told little
        return (
            self.E
            + of_size
            + self.B * np.maximum(r, 0.0) ** self.eta / d**self.beta
            + self.C / (r + self.epsilon) ** self.gamma
        )


def fit(size: Array, tokens: Array, share: Array, losses: Array, seed: int = 0) -> DcptLaw:
    """Fit the law to losses of models of `size` parameters, after `tokens`, with a `share`; all [points].

    Raises:
        ValueError: fewer points than parameters.
    """
    return fit_across(np.zeros(len(losses), np.int64), size, tokens, share, losses, seed)[0]


def fit_across(
    domain: NDArray[np.int64], size: Array, tokens: Array, share: Array, losses: Array, seed: int = 0
) -> list[DcptLaw]:
    """Fit one law to several domains, `domain` [points] from 0 on; return each domain's, which differ in E alone.

    Raises:
        ValueError: fewer points than parameters.
    """
    several = bool(np.ptp(size)), bool(np.ptp(tokens))
    n, d = np.log(size / np.exp(np.log(size).mean())), np.log(tokens / np.exp(np.log(tokens).mean()))
    r = np.maximum(share, TINY)
    points, domains = len(losses), int(domain.max()) + 1
    # θ: log C, log ε, log γ, log E of each domain, [log A, log α], [log B, log η, log β], of centred size and tokens.
    at_a = 3 + domains
    at_b = at_a + 2 * several[0]
    count = at_b + 3 * several[1]

    def terms(p: Array) -> tuple[Array, Array]:
        logs, slopes = np.empty((2 + sum(several), points)), np.zeros((2 + sum(several), points, count))
        eps, gamma = np.exp(p[1]), np.exp(p[2])
        logs[0] = p[3 + domain]
        slopes[0, np.arange(points), 3 + domain] = 1.0
        shifted = np.log(r + eps)
        logs[1] = p[0] - gamma * shifted
        slopes[1, :, 0] = 1.0
        slopes[1, :, 1] = -gamma * eps / (r + eps)
        slopes[1, :, 2] = -gamma * shifted
        row = 2
        if several[0]:
            alpha = np.exp(p[at_a + 1])
            logs[row] = p[at_a] - alpha * n
            slopes[row, :, at_a], slopes[row, :, at_a + 1] = 1.0, -alpha * n
            row += 1
        if several[1]:
            eta, beta = np.exp(p[at_b + 1]), np.exp(p[at_b + 2])
            logs[row] = p[at_b] + eta * np.log(r) - beta * d
            slopes[row, :, at_b], slopes[row, :, at_b + 1], slopes[row, :, at_b + 2] = 1.0, eta * np.log(r), -beta * d
        return logs, slopes

    random = np.random.default_rng(seed)
    lowest = np.array([losses[domain == one].min() for one in range(domains)])
    low = float(lowest.min())
    starts: list[Array] = []
    for _ in range(STARTS):
        part = random.uniform(0.2, 1.0)
        start = [np.log(random.uniform(0.01, 0.5) * low), np.log(10 ** random.uniform(-2, 0)),
                 np.log(10 ** random.uniform(-1, 0.5)), *np.log(part * lowest)]  # fmt: skip
        if several[0]:
            start += [np.log(random.uniform(0.05, 0.5) * low), np.log(random.uniform(0.1, 0.8))]
        if several[1]:
            start += [np.log(random.uniform(0.05, 0.5) * low), np.log(random.uniform(0.1, 1.5)),
                      np.log(random.uniform(0.1, 0.8))]  # fmt: skip
        starts.append(np.array(start))
    found = power_law.fit(terms, losses, starts)
    p = found.parameters
    alpha = float(np.exp(p[at_a + 1])) if several[0] else 0.0
    eta, beta = (float(np.exp(p[at_b + k])) for k in (1, 2)) if several[1] else (0.0, 0.0)
    size_scale, token_scale = float(np.log(size).mean()), float(np.log(tokens).mean())
    law = DcptLaw(
        E=float(np.exp(p[3])),
        A=float(np.exp(p[at_a] + alpha * size_scale)) if several[0] else 0.0,
        alpha=alpha,
        B=float(np.exp(p[at_b] + beta * token_scale)) if several[1] else 0.0,
        eta=eta,
        beta=beta,
        C=float(np.exp(p[0])),
        epsilon=float(np.exp(p[1])),
        gamma=float(np.exp(p[2])),
        error=found.error,
    )
    return [replace(law, E=float(np.exp(p[3 + one]))) for one in range(domains)]


def with_floor(law: DcptLaw, size: Array, tokens: Array, share: Array, losses: Array) -> DcptLaw:
    """Return the law of another domain from a few of its losses: the median of what is left of them is its floor."""
    left = losses - replace(law, E=0.0).predict(size, tokens, share)
    floor = max(float(np.median(left)), 0.0)
    found = replace(law, E=floor)
    off = np.log(found.predict(size, tokens, share)) - np.log(losses)
    return replace(found, error=float(np.sqrt((off @ off) / len(off))))


@dataclass(frozen=True)
class Share:
    """The best share of the domain, and what the laws say of it."""

    share: float
    domain: float
    general: float
    bound: float
    """The general loss that must not be passed."""


def best_share(
    domain: DcptLaw, general: DcptLaw, size: float, tokens: float, bound: float, most: float = 1.0, least: float = 0.0
) -> Share | None:
    """Return the share with the least domain loss among those whose general loss is within `bound`, None if none is.

    That is "Usage 1" of 2406.01375: the trade-off between general and domain-specific ability. `least`
    and `most` are what supply and epoch caps allow.
    """
    shares = np.linspace(least, most, GRID)
    other = general.predict(size, tokens, 1.0 - shares)
    own = domain.predict(size, tokens, shares)
    allowed = np.flatnonzero(other <= bound)
    if not len(allowed):
        return None
    at = int(allowed[np.argmin(own[allowed])])
    return Share(float(shares[at]), float(own[at]), float(other[at]), bound)

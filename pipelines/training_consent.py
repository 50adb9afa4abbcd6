"""Consent to training, apart from consent to crawling: what robots.txt says to tokens that stand for a use.

Apple's `Applebot-Extended` and Google's `Google-Extended` fetch nothing: a site names them to say whether what the
crawler fetched may train models (AFM, 2407.21075, section 3.1). Others name their training crawler. A page's refusals
are noted for all common tokens when it is fetched; the recipe says to which of them it answers (`consent.training`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipelines.robots import RobotsFile

OWN_TOKEN = "PomonaBot-Extended"
"""The token to name in a robots.txt against training with Pomona."""

COMMON = "common"
"""Stands for COMMON_TOKENS in a recipe."""

COMMON_TOKENS = (
    "Amazonbot",
    "anthropic-ai",
    "Applebot-Extended",
    "Bytespider",
    "CCBot",
    "ClaudeBot",
    "cohere-training-data-crawler",
    "FacebookBot",
    "Google-Extended",
    "GPTBot",
    "Meta-ExternalAgent",
    "PanguBot",
    "webzio-extended",
)
"""Tokens by which sites say no to training, as their owners document them."""

NONE = "-"
"""Written down where a robots.txt was looked at and refuses no token."""


def expand(tokens: Iterable[str]) -> tuple[str, ...]:
    """Tokens in lower case, COMMON replaced by what it stands for, each once, sorted."""
    named = [one for token in tokens for one in (COMMON_TOKENS if token == COMMON else (token,))]
    return tuple(sorted({one.lower() for one in named}))


NOTED = expand((OWN_TOKEN, COMMON))
"""Tokens whose refusals are noted with every page."""


def noted(refused: str | None) -> str | None:
    """What was written down of a page, as its rights have it: the tokens, None where there is none."""
    return None if refused in (None, NONE) else refused


class TrainingRules:
    """What one robots.txt says to tokens.

    Args:
        robots: the file.
        tokens: in lower case.
    """

    def __init__(self, robots: RobotsFile, tokens: Sequence[str] = NOTED) -> None:
        self._robots = robots
        # Most tokens are spoken to by the same lines: those are looked at once a page, not once a token.
        self._together = robots.rules.together(tokens)

    def refused(self, url: str) -> str:
        """The tokens for which an address is refused, "ccbot, gptbot", or NONE."""
        refused = [token for tokens in self._together if not self._robots.allowed(tokens[0], url) for token in tokens]
        return ", ".join(sorted(refused)) or NONE

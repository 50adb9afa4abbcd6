"""The forms in which an item comes to a web page: what recall is measured over."""

from __future__ import annotations

import html
import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

__all__ = ["ALTERED", "FORMS", "Item"]

Item = Mapping[str, Any]
Form = Callable[[Item, random.Random, Sequence[str]], str]

_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_CONTEXT_WORDS: Final = 64  # of a longer context the question alone is planted, as it is looked for
_DIGITS: Final = tuple(
    str.maketrans("0123456789", digits) for digits in ("٠١٢٣٤٥٦٧٨٩", "०१२३४५६७८९", "０１２３４５６７８９")
)
_LIKE: Final = str.maketrans("aeopcxyABEHKMOPCTX", "аеорсхуАВЕНКМОРСТХ")
# One word for another, as a rewriter would; the item's names and numbers stay.
_SYNONYMS: Final[dict[str, str]] = {
    one: other
    for one, _, other in (pair.partition("/") for pair in """
    write/create find/determine function/routine list/sequence given/supplied calculate/compute following/subsequent
    true/correct statement/claim statements/claims best/most describes/characterises likely/probable which/what
    many/numerous much/considerable total/overall number/count buys/purchases bought/purchased sells/vends sold/vended
    gives/hands gave/handed makes/produces made/produced uses/employs used/employed needs/requires need/require
    wants/wishes want/wish gets/receives got/received has/possesses big/large small/little begins/starts began/started
    ends/finishes people/persons children/kids man/gentleman woman/lady day/date each/every also/additionally
    because/since however/nevertheless shows/displays show/display check/verify return/give remove/delete first/initial
    last/final same/identical different/distinct between/among about/regarding before/prior after/following during/while
    large/sizeable increase/growth decrease/reduction causes/triggers caused/triggered results/outcomes result/outcome
    method/approach example/instance important/significant often/frequently usually/generally only/just all/every
    year/twelvemonth years/twelvemonths old/aged new/recent money/cash cost/price costs/prices house/home
    """.split())  # noqa: SIM905
}  # fmt: skip


def _question(item: Item) -> str:
    context, question = item["context"] or "", item["question"] or ""
    if question and len(context.split()) > _CONTEXT_WORDS:
        context = ""
    return "\n".join(part for part in (context, question) if part)


def _options(item: Item, mark: Callable[[int], str], order: random.Random | None = None) -> str:
    listed = [choice for choice in item["choices"] or () if choice]
    if order:
        order.shuffle(listed)
    return "".join(f"\n{mark(k)} {text}" for k, text in enumerate(listed[:26]))


def _asked(item: Item) -> str:
    return _question(item) + _options(item, lambda k: f"{_LETTERS[k]}.")


def _answer(item: Item) -> str:
    return str(item["answer"] or next(iter(item["choices"] or ()), None) or "yes")


def _markup(item: Item) -> str:
    """Write it as HTML source: entities, emphasis, a list of options."""
    words = [html.escape(word, quote=False) for word in _question(item).split(" ")]
    emphasised = " ".join(f"<b>{word}</b>" if k % 12 == 5 else word for k, word in enumerate(words))
    listed = "".join(f"<li>{html.escape(choice, quote=False)}</li>\n" for choice in item["choices"] or () if choice)
    return f'<div class="q"><p>{emphasised.replace(chr(10), "<br />")}</p>\n<ol type="A">{listed}</ol></div>'


def _latex(item: Item) -> str:
    text = re.sub(r"\d+(?:\.\d+)?", r"$\g<0>$", _question(item))
    options = "".join(rf" \item {choice}" + "\n" for choice in item["choices"] or () if choice)
    return rf"\begin{{problem}} {text} \begin{{enumerate}}" + f"\n{options}" + r"\end{enumerate} \end{problem}"


def _noisy(text: str, share: float, rng: random.Random, others: Sequence[str]) -> str:
    """Replace half of ``share`` of the words, and insert one after as many others."""
    found: list[str] = []
    for word in text.split():
        draw = rng.random()
        found += [rng.choice(others)] if draw < share / 2 else [word, rng.choice(others)] if draw < share else [word]
    return " ".join(found)


def _paraphrased(item: Item) -> str:
    """Say it otherwise: synonyms for common words, and the sentences before the last one turned round."""
    sentences = re.split(r"(?<=[.!?])\s+", _question(item))
    text = " ".join([*reversed(sentences[:-1]), sentences[-1]])
    return re.sub(r"[A-Za-z]+", lambda word: _SYNONYMS.get(word[0].lower(), word[0]), text) + _options(
        item, lambda k: f"{_LETTERS[k]}."
    )


FORMS: Final[dict[str, Form]] = {
    "question only": lambda item, rng, others: _question(item),
    "question and options": lambda item, rng, others: _asked(item),
    "with answer": lambda item, rng, others: f"{_asked(item)}\nAnswer: {_answer(item)}",
    "with solution": lambda item, rng, others: f"{_asked(item)}\n{item['solution'] or _answer(item)}",
    "re-wrapped": lambda item, rng, others: "\n".join(_asked(item).split()),
    "re-cased": lambda item, rng, others: _asked(item).upper(),
    "options shuffled": lambda item, rng, others: _question(item) + _options(item, lambda k: f"{_LETTERS[k]}.", rng),
    "options renumbered": lambda item, rng, others: f"12) {_question(item)}" + _options(item, lambda k: f"({k + 1})"),
    "Markdown table": lambda item, rng, others: "| 7 | **" + _asked(item).replace("\n", "** | ") + " |",
    "HTML source": lambda item, rng, others: _markup(item),
    "LaTeX source": lambda item, rng, others: _latex(item),
    "digits of other scripts": lambda item, rng, others: _asked(item).translate(rng.choice(_DIGITS)),
    "look-alike letters": lambda item, rng, others: _asked(item).translate(_LIKE),
    "10 % of words inserted or replaced": lambda item, rng, others: _noisy(_asked(item), 0.1, rng, others),
    "paraphrased": lambda item, rng, others: _paraphrased(item),
}
"""A form's name and what writes an item in it; the words are those that noise takes."""

ALTERED: Final = ("10 % of words inserted or replaced", "paraphrased")
"""Forms whose words are not the item's any more."""

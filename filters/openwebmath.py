r"""Signals and rules ``openwebmath``: is a page mathematics (OpenWebMath, Paster et al. 2023, arXiv 2310.06786).

What needs no model is here, as in its ``extract_from_warc.py`` and ``filtering/filter_dataset.py``: the prefilter's
LaTeX commands and its marks of HTML (which an extracted text rarely holds), formulas, accented letters (at most 1.5% of
the characters) and at least 100 characters. Its MathScore is the family ``mathscore``, its perplexity (below 15,000
under a model of Proof-Pile) the family ``perplexity``; both need the model as a file.

The prefilter passes a page with one mark or one command; a substring counts, so that ``\in`` is found in ``\include``.
It was written for English pages. All is 0 for the empty text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from numpy.typing import NDArray

from filters.batch import Batch, ratio
from filters.family import Family
from filters.rule import Rule
from kernels.characters import Counted
from kernels.formulas import formulas
from kernels.occurrences import PhraseGroup

__all__ = ["FAMILY", "RULES"]

_KEYWORDS: Final = (
    *("MathJax", "mathjax", "<math", "math-container", "katex.min.css", "latex.php", "codecogs", "tex.cgi"),
    *('class="tex"', "class='tex'"),
)
# The prefilter's list, in its order of frequency.
_COMMANDS: Final = """
end begin ref frac label bf right left rm alpha mu def it pi sigma sum lambda beta nu partial int delta rho phi
gamma omega over nonumber bar sqrt theta tau em rangle hat tilde cal hline item psi vec langle epsilon eta cdot in
xi infty quad mathcal times emph mathbf prime be mathrm ee vspace pm chi ell text qquad noindent to varphi hspace
leq cos eqref overline sin kappa hbox rightarrow varepsilon textit dagger big otimes equiv zeta dot ln
"""


_LATEX: Final = PhraseGroup(tuple("\\" + command for command in _COMMANDS.split()))
_MARKS: Final = PhraseGroup(_KEYWORDS)


def _measure(batch: Batch) -> Mapping[str, NDArray[Any]]:
    texts = batch.texts
    commands, marks = batch.occurrences(_LATEX), batch.occurrences(_MARKS)
    found = formulas(texts)
    return {
        "latex_commands": commands,
        "math_marks": marks,
        "prefilter": (commands + marks) > 0,
        "formulas": found.counts,
        "formula_char_ratio": ratio(found.chars, batch.chars),
        "symbol_ratio": ratio(batch.characters[:, Counted.MATHS], batch.chars),
        "accented_ratio": ratio(batch.characters[:, Counted.ACCENTED], batch.chars),
        "chars": batch.chars,
    }


FAMILY = Family(
    "openwebmath",
    {
        "latex_commands": "occurrences of the prefilter's 84 LaTeX commands",
        "math_marks": "occurrences of its marks of mathematics in HTML",
        "prefilter": "whether there is any of the two (1 or 0)",
        "formulas": "formulas between dollar signs",
        "formula_char_ratio": "share of characters in them",
        "symbol_ratio": "share of characters that are symbols of mathematics",
        "accented_ratio": "share of characters that are ü, ï, ö, ê, ä, â, î, û, ô, è, é or à",
        "chars": "characters",
    },
    _measure,
    phrases=(_LATEX, _MARKS),
)

RULES = (
    Rule(name="openwebmath-prefilter", signal="openwebmath.prefilter", min=1),
    Rule(name="openwebmath-short", signal="openwebmath.chars", min=100),
    Rule(name="openwebmath-accented", signal="openwebmath.accented_ratio", max=0.015),
)

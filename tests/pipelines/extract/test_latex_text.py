from __future__ import annotations

import contextlib
import gzip
import itertools
import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.extract import ExtractionError, extract_body
from pipelines.extract.latex_brackets import braced
from pipelines.extract.latex_macros import definitions, expanded
from pipelines.sources.latex_project import Project


def _text(source: str) -> str:
    return extract_body(source.encode(), "application/x-tex").text


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("One line\nand another.\n\nA paragraph.", "One line and another.\n\nA paragraph."),
        ("50\\% off % a comment\n% a line of it\nnow", "50% off now"),
        (r"\section{First \emph{things}} text \subsection*{Second}more",
         "## First things\n\ntext\n\n### Second\n\nmore"),
        (r"Let $a_{1} < b$ and \(c\), then \[ d = e. \] So $$f$$ holds.",
         "Let $a_{1} < b$ and $c$, then\n$$d = e.$$\nSo\n$$f$$\nholds."),
        ("\\begin{equation}\\label{eq:x}\nx = 1\n\\end{equation}", "$$x = 1$$"),
        ("\\begin{align*}\na &= b \\\\\n  &= c\n\\end{align*}",
         "$$\\begin{align*}\na &= b \\\\\n  &= c\n\\end{align*}$$"),
        (r"It costs \$5 and \$6, or $5.", r"It costs $5 and $6, or 5."),
        (r"\begin{itemize}\item one \item two \begin{enumerate}\item a\item b\end{enumerate}\end{itemize}",
         "- one\n- two\n  1. a\n  2. b"),
        (r"\begin{description}\item[Ring] a set\end{description}", "- Ring: a set"),
        (r"\begin{theorem}[Euler]\label{t} Yes. \end{theorem}\begin{proof}Clear.\end{proof}",
         "Theorem (Euler). Yes.\n\nProof. Clear."),
        (r"\newtheorem{satz}{Satz}\begin{satz}Ja.\end{satz}", "Satz. Ja."),
        (r"see \cite{a,b}, Section~\ref{s} and~\cite[p. 3]{c}.", "see, Section and."),
        (r"Erd\H{o}s, Poincar\'e, na\"{\i}ve, \c{C}a, \o re, Stra{\ss}e \& Co---``so''",
         "Erdős, Poincaré, naïve, Ça, øre, Straße & Co—“so”"),
        (r"\href{https://a.test}{a page} \textbf{bold} {\it it} \unknown{kept}\foo[opt]{too}",
         "a page bold it kepttoo"),
        ("\\begin{verbatim}\nif x: % no comment\n    \\section{y}\n\\end{verbatim}",
         "```\nif x: % no comment\n    \\section{y}\n```"),
        (r"use \verb|\section{x}| here", r"use `\section{x}` here"),
        (r"\begin{figure}\includegraphics{x}\caption{A \emph{cat}.}\end{figure}text", "A cat.\n\ntext"),
        ("\\begin{tabular}{l|r}\\hline a & $b$ \\\\ \\hline c & d\\\\\n\\end{tabular}", "| a | $b$ |\n| c | d |"),
        (r"end\footnote{A note with $x$.} here", "end (A note with $x$.) here"),
        (r"kept \begin{thebibliography}{9}\bibitem{a} Gone\end{thebibliography}\bibliography{x}", "kept"),
        (r"a \iffalse hidden \fi b", "a b"),
    ],
)  # fmt: skip
def test_what_becomes_of_it(source: str, expected: str) -> None:
    assert _text(source) == expected


def test_a_paper() -> None:
    source = r"""\documentclass[11pt]{article} % preamble
\usepackage{amsmath}
\newcommand{\R}{\mathbb{R}}
\newcommand{\norm}[1]{\left\| #1 \right\|}
\newcommand{\pair}[2][x]{(#1, #2)}
\def\half#1{\frac{#1}{2}}
\DeclareMathOperator{\tr}{tr}
\newcommand\eg{e.g.\xspace}
\title{On \\ Things\thanks{a grant}}
\author{Nobody \\ Nowhere}
\begin{document}
\maketitle
\begin{abstract}We prove it, \eg here.\end{abstract}
\section{Intro}
For $x \in \R$ we have $\norm{x} \ge 0$, $\pair{y}$, $\pair[a]{b}$, $\half{x}$, $\tr A$.
\end{document}
this is gone"""
    found = extract_body(source.encode(), "application/x-tex")
    assert found.title == "On Things"
    assert found.engine == "latex"
    assert found.text == (
        "# On Things\n\n## Abstract\n\nWe prove it, e.g. here.\n\n## Intro\n\n"
        r"For $x \in \mathbb{R}$ we have $\left\| x \right\| \ge 0$, $(x, y)$, $(a, b)$, $\frac{x}{2}$, "
        r"$\operatorname{tr}A$."
    )


def test_macros_do_not_run_away() -> None:
    names = "abcdefghij"
    bomb = "".join(rf"\def\a{one}{{{rf'{chr(92)}a{before}' * 10}}}" for before, one in itertools.pairwise(names))
    with pytest.raises(ExtractionError) as error:
        _text(f"\\def\\aa{{x}}{bomb} \\ai end")
    assert error.value.reason == "too-large"
    assert _text(r"\def\x{a\x b} say \x{} now") == "say ab now"
    macros, left = definitions(r"\def\pick#1{\@ifnextchar[{\a}{\b}} \newcommand{\ok}{yes} $\pick{x}$ \ok")
    assert list(macros) == ["ok"]
    assert expanded(left, macros).split() == [r"$\pick{x}$", "yes"]


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="{}[]\\a ", max_size=40))
def test_brackets(text: str) -> None:
    found = braced(text, 0)
    if found is not None:
        inner, end = found
        assert text[:end].rstrip().endswith("}")
        assert text[:end].lstrip() == "{" + inner + "}"


_PIECES = st.sampled_from(
    ["\\begin{itemize}", "\\end{itemize}", "\\item", "\\section{", "}", "{", "$", "$$", "\\(", "\\[", "\\]", "%", "\n",
     "\n\n", "\\begin{align}", "\\end{align}", "\\verb|", "\\begin{verbatim}", "\\end{verbatim}", "\\x", "\\def\\y",
     "\\newcommand{\\x}[1]{#1\\x{", "\\'", "\\", "&", "~", "text", "\\begin{tabular}{l}", "\\end{tabular}", "[", "]",
     "\\footnote{", "\1", "\2", "\3", "\0030\003", "\\begin{document}", "\\end{document}", "\\title{", "\\ensuremath{",
     "\\begin{", "\\iffalse", "é"]
)  # fmt: skip


@settings(max_examples=600, deadline=None)
@given(st.lists(_PIECES, max_size=40).map("".join))
def test_nothing_breaks_it(source: str) -> None:
    try:
        text = _text(source)
    except ExtractionError as error:
        text = error.reason
    assert text.strip()
    assert not set(text) & {"\1", "\2", "\3"}


@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.parametrize(
    "source",
    ["$" * 300_000, "{" * 300_000, "\\section{" * 50_000, "\\begin{itemize}" * 50_000, "\\begin{align}" * 50_000,
     "\\[" * 100_000, "\\begin{tabular}{l}" * 30_000, "\\footnote{" * 50_000, "\\newcommand{\\x}{" * 20_000,
     "\\begin{verbatim}\n" * 50_000, "\\emph" * 100_000, "\\ensuremath{" * 1_000, "%" * 300_000, "\\item[" * 50_000,
     " " * 300_000, "\\iffalse" * 50_000],
)  # fmt: skip
def test_hostile_sources_cost_a_bounded_time(source: str) -> None:
    with contextlib.suppress(ExtractionError):  # a reason is an answer
        _text("begin " + source + " end")


@pytest.mark.data
@pytest.mark.slow
def test_real_books_of_mathematics(pomona_data: Path) -> None:
    with gzip.open(pomona_data / "math/stacks_project_tex.jsonl.gz", "rt") as lines:
        stacks = {row["file"]: row["text"] for row in map(json.loads, lines)}
    for name, source in stacks.items():
        found = extract_body(source.encode(), "application/x-tex")
        plain = re.sub(r"\$\$.*?\$\$|\$[^$]*\$|```.*?```", "", found.text, flags=re.DOTALL)
        assert "\\" not in plain, name
        # Every inline formula comes out as it was written, but for line ends.
        body = re.sub(r"(?m)(?<!\\)%.*$", "", source)
        shown = " ".join(found.text.split())
        if name != "coding.tex":  # which shows LaTeX as code
            formulas = re.findall(r"(?<![\\$])\$([^$]+)\$(?!\$)", re.sub(r"\$\$.*?\$\$", "", body, flags=re.DOTALL))
            lost = [one for one in formulas if f"${' '.join(one.split())}$" not in shown]
            assert len(lost) <= 0.001 * len(formulas), (name, lost[:5])
        sections = re.findall(r"\\section\{([^{}$\\]*)\}", body)
        assert [f"## {' '.join(one.split())}" for one in sections if "`" not in one and "'" not in one] == [
            line for line in found.text.split("\n")
            if line.startswith("## ") and line.isascii() and not set("$'") & set(line)
        ] or name == "coding.tex"  # fmt: skip
    with gzip.open(pomona_data / "math/hott_book_tex.jsonl.gz", "rt") as lines:
        project = Project({row["file"]: row["text"] for row in map(json.loads, lines)})
    assert "hott-online.tex" in project.mains()
    assert "main.tex" not in project.mains()
    book = project.resolved("hott-online.tex", 50_000_000)
    assert book is not None
    found = extract_body(book.text.encode(), "application/x-tex")
    assert found.title == "Homotopy Type Theory: Univalent Foundations of Mathematics"
    assert found.math_count > 17_000
    assert "## Identity types" in found.text.split("\n")
    assert r"\ensuremath" not in found.text

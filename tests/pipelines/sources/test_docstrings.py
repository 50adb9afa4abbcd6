from __future__ import annotations

import importlib.util
import json
from typing import TYPE_CHECKING

import pytest

from pipelines.sources.docstrings import Docstrings, has_tex, tex_docstrings
from pipelines.sources.record import Failure, Outcome, Record, Refusal, Source

if TYPE_CHECKING:
    from .conftest import Install

MODULE = rb'''
"""Module with :math:`x^2`."""
import does_not_exist


class Curve:
    r"""A curve.

        .. math::

            y^2 = x^3 + a x + b

    Indented text stays.
    """

    def slope(self):
        r"""Slope $\frac{dy}{dx}$."""

    def plain(self):
        """No formula; costs $5 or $6."""


if True:
    def f():
        r"""\(a + b\)"""
else:
    def f():
        r"""\[a - b\]"""

airy = r"""Airy function :math:`\mathrm{Ai}(z)`."""
add_newdoc("special", "erf", r"""Error function :math:`\operatorname{erf}`.""")
note = r"no documentation: \d+ and \("
'''


def _read(source: Docstrings) -> list[Outcome]:
    return [outcome for unit in source.units() for outcome in source.read(unit)]


def test_docstrings_are_found_by_their_qualified_names() -> None:
    found = dict(tex_docstrings(MODULE))
    assert list(found) == ["", "Curve", "Curve.slope", "f", "f~2", "airy", "special.erf"]
    assert found["Curve"] == "A curve.\n\n    .. math::\n\n        y^2 = x^3 + a x + b\n\nIndented text stays."
    assert found["Curve.slope"] == r"Slope $\frac{dy}{dx}$."


@pytest.mark.parametrize(
    ("text", "tex"),
    [
        (":math:`a`", True),
        ("x\n\n.. math::\n\n   a", True),
        (r"for \(a\) and", True),
        (r"\begin{align*} a \end{align*}", True),
        (r"$\alpha$-stable", True),
        (r"$$ \int f $$", True),
        ("from $5 to $7", False),
        (r"a path C:\new and $HOME", False),
        ("`.. math` is a directive", False),
        ("", False),
    ],
)
def test_tex(text: str, tex: bool) -> None:
    assert has_tex(text) is tex


def test_records_of_a_distribution(install: Install) -> None:
    notebook = {
        "cells": [{"cell_type": "markdown", "source": ["Let ", "$\\alpha$"]}, {"cell_type": "code", "source": "x"}]
    }
    files = {
        "pkg/__init__.py": b'r"""Sum $\\sum_i x_i$."""\n',
        "pkg/broken.py": b'def f(:\n    r""":math:`x`"""\n',
        "pkg/doc/guide.rst": b"Guide\n\n.. math:: a\n",
        "pkg/doc/plain.md": b"no formula\n",
        "pkg/doc/note.ipynb": json.dumps(notebook).encode(),
        "pkg/doc/bad.ipynb": b"{:math:`",
        "pkg/doc/latin.txt": b"\xe9 :math:`x`",
    }
    install("pkg", files, "License-Expression: BSD-3-Clause")
    source = Docstrings(name="math", packages=("pkg",))
    assert isinstance(source, Source)
    outcomes = _read(source)
    assert {outcome.uri: getattr(outcome, "reason", "kept") for outcome in outcomes} == {
        "pypi://pkg/pkg": "kept",
        "pypi://pkg/pkg.broken": "unparsable-file",
        "pypi://pkg/pkg/doc/bad.ipynb": "unparsable-file",
        "pypi://pkg/pkg/doc/guide.rst": "kept",
        "pypi://pkg/pkg/doc/latin.txt": "unparsable-file",
        "pypi://pkg/pkg/doc/note.ipynb": "kept",
    }
    module, note = outcomes[0], outcomes[-1]
    assert isinstance(module, Record)
    assert (module.body, module.kind, module.license) == (r"Sum $\sum_i x_i$.", "math", "BSD-3-Clause")
    assert isinstance(note, Record)
    assert note.body == "Let $\\alpha$\n\n```python\nx\n```"
    assert outcomes == _read(source)


def test_licence_decides_here_too(install: Install) -> None:
    install("closed", {"closed/a.py": b'""":math:`x`"""\n'}, "License: proprietary")
    (outcome,) = _read(Docstrings(name="math", packages=("closed",)))
    assert isinstance(outcome, Refusal)
    assert outcome.reason == "licence-not-permissive"


@pytest.mark.skipif(importlib.util.find_spec("networkx") is None, reason="networkx (extra `sample`) is not installed")
def test_networkx_gives_formulas() -> None:
    source = Docstrings(name="math", packages=("networkx",))
    outcomes = _read(source)
    assert len(outcomes) > 100
    assert not any(isinstance(outcome, Failure) for outcome in outcomes)
    by_uri = {outcome.uri: outcome for outcome in outcomes}
    assert len(by_uri) == len(outcomes)
    centrality = by_uri["pypi://networkx/networkx.algorithms.centrality.betweenness#betweenness_centrality"]
    assert isinstance(centrality, Record)
    assert isinstance(centrality.body, str)
    assert r"\frac{\sigma(s, t" in centrality.body
    assert centrality.license == "BSD-3-Clause"
    assert all(
        has_tex(record.body) for record in outcomes if isinstance(record, Record) and isinstance(record.body, str)
    )

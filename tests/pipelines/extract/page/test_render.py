"""Chosen blocks as text."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.extract.page.mathml import tex
from pipelines.extract.page.parse import parse
from pipelines.extract.page.render import data_tables, rendered, whole_tables
from pipelines.extract.page.text import texts


def told(html: str, keep: list[int] | None = None, *, markdown: bool = True) -> str:
    data = np.frombuffer(html.encode("utf-8"), np.uint8)
    page = parse(data)
    found = texts(data, page)
    blocks = len(page.block_element)
    chosen = np.ones(blocks, bool)
    if keep is not None:
        chosen[:] = False
        chosen[keep] = True
    count = np.ones(blocks, np.int32)
    tables = data_tables(page, count)
    whole_tables(chosen, count, tables)
    formula = lambda run: tex(data[page.run_low[run] : page.run_high[run]].tobytes())  # noqa: E731
    return rendered(page, found, chosen, tables, formula, markdown_tables=markdown)


TABLE = "<table><caption>Towns</caption><tr><th>Name<th>People<tr><td>A|B<td>1<tr><td><p>C</p><p>D</p><td>2</table>"


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<h1>T</h1><p>a<p>b", "T\na\nb"),
        ("<ul><li>one<li><p>two</p><p>more</p></ul>x", "- one\n- two\nmore\nx"),
        (f"<p>x</p>{TABLE}<p>y", "x\nTowns\n| Name | People |\n|---|---|\n| A\\|B | 1 |\n| C D | 2 |\ny"),
        ("<pre>if x:\n    y = 1\n\n    z</pre>", "if x:\n    y = 1\n\n    z"),
        ("<p>so <math><msup><mi>x</mi><mn>2</mn></msup></math> and <math><mi>y</mi></math>.", "so $x^2$ and $y$."),
        ("<table><tr><td><p>layout</p><table><tr><td>x</table></table>", "layout\nx"),
        ("<table><tr><td>one<tr><td>column</table>", "one\ncolumn"),
    ],
)
def test_text(html: str, expected: str) -> None:
    assert told(html) == expected


def test_plain_tables() -> None:
    assert told(TABLE, markdown=False) == "Towns\nName  People\nA|B  1\nC D  2"


def test_a_table_is_whole_or_not_at_all() -> None:
    assert told(TABLE, [1, 2, 3, 4, 5]).count("\n") == 4
    assert told(TABLE, [1]) == ""


def test_only_what_is_chosen() -> None:
    assert told("<p>a<p>b<p>c", [0, 2]) == "a\nc"

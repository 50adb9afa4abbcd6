"""Chosen blocks as text: a line a paragraph, list items marked, tables of data as Markdown, code as it stands."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from pipelines.extract.page.asciimath import replaced
from pipelines.extract.page.names import TAG, Within
from pipelines.extract.page.parse import Page
from pipelines.extract.page.text import FORMULA, Texts

_TABLE, _TR, _LI, _TD, _TH, _CAPTION = (TAG[name] for name in ("table", "tr", "li", "td", "th", "caption"))
_CELLS = (_TD, _TH, _CAPTION)
_ENOUGH = 0.5
"""Share of a data table's words that must be chosen for all of it to be."""
_LONG_CELL = 60
"""Words of a mean cell from which on a table is for layout, not for data."""


class Around:
    """Finds what a page's blocks stand in."""

    def __init__(self, page: Page) -> None:
        self._parent, self._tag, self._start = page.parent.tolist(), page.tag.tolist(), page.start
        self._elements = page.block_element.tolist()
        self._within = page.within

    def nearest(self, block: int, tags: Iterable[int]) -> int:
        """The innermost element of one of these tags around a block; 0 where there is none."""
        wanted = tuple(tags)
        element = self._elements[block]
        while element > 0 and self._tag[element] not in wanted:
            element = self._parent[element]
        return max(0, element)

    def cell(self, block: int) -> tuple[int, int, int]:
        """The table, row and cell of a block; 0 for what is not there."""
        cell = self.nearest(block, _CELLS)
        row = cell
        while row > 0 and self._tag[row] not in (_TR, _TABLE):
            row = self._parent[row]
        table = row
        while table > 0 and self._tag[table] != _TABLE:
            table = self._parent[table]
        return max(0, table), (row if row > 0 and self._tag[row] == _TR else 0), cell


def data_tables(page: Page, count: NDArray[np.int32]) -> dict[int, list[int]]:
    """The tables of data among a page's tables, each with its blocks.

    A table holds data if it has at least two rows and two columns, no table inside it, and short cells.
    """
    inside = np.flatnonzero(page.within[page.block_element] & int(Within.TABLE))
    if not len(inside):
        return {}
    around = Around(page)
    found: dict[int, list[int]] = {}
    shape: dict[int, dict[int, set[int]]] = {}
    for block in inside.tolist():
        table, row, cell = around.cell(block)
        if table:
            found.setdefault(table, []).append(block)
            if row:
                shape.setdefault(table, {}).setdefault(row, set()).add(cell)
    holds_table = {around_table for table in found for around_table in [_outer_table(page, table)] if around_table}
    kept: dict[int, list[int]] = {}
    for table, blocks in found.items():
        rows = shape.get(table, {})
        cells = sum(map(len, rows.values()))
        wide = sum(len(cells_of) >= 2 for cells_of in rows.values())
        if len(rows) >= 2 and wide >= 2 and table not in holds_table and count[blocks].sum() < _LONG_CELL * cells:
            kept[table] = blocks
    return kept


def _outer_table(page: Page, table: int) -> int:
    element = int(page.parent[table])
    while element > 0 and page.tag[element] != _TABLE:
        element = int(page.parent[element])
    return max(0, element)


def whole_tables(keep: NDArray[np.bool_], count: NDArray[np.int32], tables: dict[int, list[int]]) -> None:
    """Choose all of a data table or none of it, in place."""
    for blocks in tables.values():
        words = count[blocks]
        keep[blocks] = bool(words[keep[blocks]].sum() > _ENOUGH * max(1, words.sum()))


def rendered(
    page: Page,
    texts: Texts,
    keep: NDArray[np.bool_],
    tables: dict[int, list[int]],
    formula: Callable[[int], str],
    *,
    markdown_tables: bool = True,
    ascii_math: bool = False,
) -> str:
    """The text of the chosen blocks.

    Args:
        page: the page.
        texts: the texts of its blocks.
        keep: the blocks chosen.
        tables: its tables of data.
        formula: the TeX of a run of MathML that says none itself, or of AsciiMath.
        markdown_tables: whether tables of data are Markdown, or a line a row with spaces between cells.
        ascii_math: whether what stands between backticks, but in code, is AsciiMath.
    """
    whole, bounds = texts.batch.data.tobytes(), texts.batch.offsets.tolist()
    around = Around(page)
    of_table = {block: table for table, blocks in tables.items() for block in blocks}
    formulas = _Formulas(page, texts, formula, ascii_math)
    lines: list[str] = []
    item = -1
    done: set[int] = set()
    for block in np.flatnonzero(keep).tolist():
        table = of_table.get(block)
        if table is not None:
            if table not in done:
                done.add(table)
                lines += _table(
                    around, [one for one in tables[table] if keep[one]], whole, bounds, formulas, markdown_tables
                )
            continue
        text = formulas.told(block, whole[bounds[block] : bounds[block + 1]].decode("utf-8", "replace"))
        if page.within[page.block_element[block]] & int(Within.ITEM):
            inner = around.nearest(block, (_LI,))
            if inner and inner != item:
                text = f"- {text}"
            item = inner
        lines.append(text)
    return "\n".join(lines)


class _Formulas:
    """Puts the TeX of formulas where the text has a mark for them."""

    def __init__(self, page: Page, texts: Texts, formula: Callable[[int], str], ascii_math: bool) -> None:
        self._of_block: dict[int, list[int]] = {}
        self._code = page.within[page.block_element] & int(Within.PRE | Within.CODE) if ascii_math else None
        self._formula = formula
        if len(texts.formulas):
            blocks = np.searchsorted(page.block_run, texts.formulas, side="right") - 1
            for block, run in zip(blocks.tolist(), texts.formulas.tolist(), strict=True):
                self._of_block.setdefault(block, []).append(run)

    def told(self, block: int, text: str) -> str:
        runs = self._of_block.get(block)
        if runs is not None:
            # In one pass: a block may hold tens of thousands of them.
            first, *others = text.split(FORMULA, len(runs))
            pieces = [self._formula(run) + piece for run, piece in zip(runs, others, strict=False)]
            text = "".join([first, *pieces])
        if self._code is not None and not self._code[block]:
            text = replaced(text)
        return text


def _table(
    around: Around, blocks: list[int], whole: bytes, bounds: list[int], formulas: _Formulas, markdown: bool
) -> list[str]:
    rows: dict[int, dict[int, list[str]]] = {}
    for block in blocks:
        _, row, cell = around.cell(block)
        text = formulas.told(block, whole[bounds[block] : bounds[block + 1]].decode("utf-8", "replace"))
        rows.setdefault(row, {}).setdefault(cell, []).append(" ".join(text.split()))
    lines: list[str] = []
    ruled = False
    for row, cells in rows.items():
        told = [" ".join(cell) for cell in cells.values()]
        if not row:  # a caption
            lines += told
            continue
        if not markdown:
            lines.append("  ".join(told))
            continue
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in told) + " |")
        if not ruled:
            lines.append("|" + "---|" * len(told))
            ruled = True
    return lines

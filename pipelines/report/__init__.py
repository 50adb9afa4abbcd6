"""The report of a run: one self-contained page that shows where every record and every token went."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipelines.report.tally import Tally


def write(run: Path, tally: Tally | None = None) -> Path:
    """Write `report.html` into a finished run folder and return its path.

    The page needs no network, no script and no other file. What it says of all records is in `tally`, which an engine
    counts (`tally.gather`); without it this process counts, a partition at a time. Text is read only for the few
    records shown.
    Raises `folder.RunFolderError` when the folder is not a finished run.
    """
    from pipelines.report.page import write as write_page  # the template engine loads only when a report is wanted

    return write_page(run, tally)

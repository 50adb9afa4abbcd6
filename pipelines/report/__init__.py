"""The report of a run: one self-contained page that shows where every record and every token went."""

from __future__ import annotations

from pathlib import Path


def write(run: Path) -> Path:
    """Write `report.html` into a finished run folder and return its path.

    The page needs no network, no script and no other file. The ledger and the signals are streamed one partition at a
    time, and text is read only for the few records shown.
    Raises `folder.RunFolderError` when the folder is not a finished run.
    """
    from pipelines.report.page import write as write_page  # the template engine loads only when a report is wanted

    return write_page(run)

"""Files that a process that is no more left behind, and nothing will ever read: told by their names."""

from __future__ import annotations

import re
from pathlib import Path

WORKING = ("_tasks", "_spill")
"""Folders of a step that its work needs, and that nobody needs once its manifest stands."""

COUNTING = "_report"
"""Folder of a run for what its report is counted from, while it is counted."""

_TEMPORARY = re.compile(r"\..+\.\d+-[0-9a-f]+\.tmp|\.writable-\d+")


def is_temporary(path: Path) -> bool:
    """Whether a file is one of an atomic write that was cut off, or a probe."""
    return _TEMPORARY.fullmatch(path.name) is not None


def is_leftover(path: Path, folder: Path) -> bool:
    """Whether a file below a finished folder is of the work that made it: notes, spills, temporary files."""
    return is_temporary(path) or path.relative_to(folder).parts[0] in WORKING

"""Kernels: loops over the bytes of a whole batch of texts, compiled by Numba.

Numba caches a compiled function under the date of its own file alone, so a kernel that calls one of another file would
stay as it was when that other file changes, and go on giving the old results. Importing this package therefore puts the
cache in a folder named after the digest of all files with kernels, here and in the packages above, unless the
environment says where it should be (``NUMBA_CACHE_DIR``).
"""

from __future__ import annotations

import os
import sys
from hashlib import blake2b
from pathlib import Path

_COMPILED = ("kernels", "dedup", "decontam", "pipelines/extract/page")
"""Folders of files with kernels."""


def _cache_folder() -> str:
    """Folder of this version's compiled kernels; old ones may be deleted at any time."""
    digest = blake2b(digest_size=8)
    root = Path(__file__).parent.parent
    for folder in _COMPILED:
        for source in sorted((root / folder).glob("*.py")):
            digest.update(source.read_bytes())
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return str(Path(caches) / "pomona" / f"kernels-{digest.hexdigest()}")


if "NUMBA_CACHE_DIR" not in os.environ:
    os.environ["NUMBA_CACHE_DIR"] = _cache_folder()
    if "numba" in sys.modules:  # it has read its environment already
        sys.modules["numba"].config.CACHE_DIR = os.environ["NUMBA_CACHE_DIR"]

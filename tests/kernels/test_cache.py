from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = """
import numpy as np
from kernels.ngrams import ngram_hashes
print(ngram_hashes(np.array([0, 2]), np.array([1, 2], np.uint64), 2)[1][0])
"""


def run(cache: Path, **more: str) -> str:
    environment = {key: value for key, value in os.environ.items() if key != "NUMBA_CACHE_DIR"}
    environment |= {"XDG_CACHE_HOME": str(cache), "PYTHONPATH": str(ROOT), **more}
    return subprocess.run(
        [sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=True
    ).stdout


def test_compiled_kernels_are_kept_by_the_digest_of_all_kernels(tmp_path: Path) -> None:
    first = run(tmp_path / "home")
    (folder,) = (tmp_path / "home" / "pomona").iterdir()
    assert folder.name.startswith("kernels-")
    compiled = {file: file.stat().st_mtime_ns for file in folder.rglob("*.nbc")}
    assert compiled
    assert run(tmp_path / "home") == first
    assert {file: file.stat().st_mtime_ns for file in folder.rglob("*.nbc")} == compiled


def test_the_environment_may_say_where(tmp_path: Path) -> None:
    run(tmp_path / "home", NUMBA_CACHE_DIR=str(tmp_path / "elsewhere"))
    assert list((tmp_path / "elsewhere").rglob("*.nbc"))
    assert not (tmp_path / "home").exists()

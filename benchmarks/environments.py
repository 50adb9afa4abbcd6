"""An environment for each peer, made once under .bench/."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BENCH = ROOT / ".bench"
"""Everything that benchmarks download, install and write; not part of the repository."""


def digest_of(*paths: Path) -> str:
    """A digest of files, and of the Python files of folders: what was measured of other code is not taken again."""
    state = hashlib.sha256()
    for path in paths:
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            state.update(file.relative_to(ROOT).as_posix().encode() + b"\0" + file.read_bytes())
    return state.hexdigest()[:8]


def code() -> str:
    """The digest of everything of this repository that a build runs."""
    return digest_of(*(ROOT / name for name in ("kernels", "filters", "dedup", "decontam", "pipelines")))


class NotInstalled(Exception):
    """A peer could not be installed; the message says why."""


def python_of(peer: str, requirements: Path) -> Path:
    """Python of the peer's environment, made where there is none for these requirements and this Python.

    Args:
        peer: what the environment is called.
        requirements: pinned packages, all of them: they are installed without looking for others.

    Raises:
        NotInstalled: pip could not install it.
    """
    digest = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = BENCH / f"{peer}-{digest}"
    python = folder / "bin" / "python"
    installed = folder / "installed"
    if not installed.exists():
        print(f"installing {peer} under {folder.relative_to(ROOT)} ...", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        command = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "-r", requirements]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            errors = [
                line for line in result.stderr.splitlines() if line.startswith("ERROR")
            ] or result.stderr.splitlines()[-1:]
            raise NotInstalled(
                f"{peer} could not be installed: {errors[-1] if errors else f'pip ended with {result.returncode}'}"
            )
        installed.touch()
    return python

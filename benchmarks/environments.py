"""An environment for each peer, made once under .bench/."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


class NotInstalled(Exception):
    """A peer could not be installed; the message says why."""


def python_of(peer: str) -> Path:
    """Python of the peer's environment, made where there is none for these requirements and this Python.

    Raises:
        NotInstalled: pip could not install it.
    """
    requirements = HERE / f"requirements-{peer}.txt"
    digest = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = ROOT / ".bench" / f"{peer}-{digest}"
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

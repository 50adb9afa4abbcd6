"""Distributions made for a test, found through importlib.metadata like installed ones."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """`install(name, files, *metadata lines, recorded=True)` installs a distribution and returns its site folder."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))

    def make(name: str, files: Mapping[str, bytes], *metadata: str, recorded: bool = True) -> Path:
        info = f"{name}-1.0.dist-info"
        text = "\n".join(["Metadata-Version: 2.4", f"Name: {name}", "Version: 1.0", *metadata]) + "\n"
        rows = [f"{info}/RECORD,,"]
        for path, data in {**files, f"{info}/METADATA": text.encode()}.items():
            (site / path).parent.mkdir(parents=True, exist_ok=True)
            (site / path).write_bytes(data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
            rows.append(f"{path},sha256={digest},{len(data)}" if recorded else f"{path},,")
        (site / info / "RECORD").write_text("\n".join(rows) + "\n")
        return site

    return make

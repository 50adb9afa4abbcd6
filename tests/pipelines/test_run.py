"""What a build does to what was trained before: kept, and never mistaken for trained on the new mixture."""

from __future__ import annotations

from pathlib import Path

from pipelines.run import set_aside_training
from pipelines.storage import sha256


def tokens(out: Path, text: str) -> dict[str, str]:
    path = out / "tokens" / "core" / "manifest.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return {"core": sha256(path)}


def test_training_on_another_mixture_is_kept_aside(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "summary.json").write_text("{}")
    before = tokens(tmp_path, "old")
    assert set_aside_training(tmp_path, before) is None
    assert (tmp_path / "train").is_dir()
    tokens(tmp_path, "new")
    place = set_aside_training(tmp_path, before)
    assert place is not None
    assert (place / "summary.json").exists()
    assert not (tmp_path / "train").exists()
    (tmp_path / "train").mkdir()
    again = set_aside_training(tmp_path, before)
    assert again is not None
    assert again != place


def test_a_first_build_and_one_without_training_move_nothing(tmp_path: Path) -> None:
    tokens(tmp_path, "new")
    assert set_aside_training(tmp_path, {}) is None
    assert set_aside_training(tmp_path, {"core": "0" * 64}) is None

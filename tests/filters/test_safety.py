"""Twelve columns, 0 to 1; rude is not hate, identity words are no offence, and what explains a word is heard."""

from __future__ import annotations

import gzip
import json
import pydoc
from importlib import import_module
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import filters
from filters import safety, safety_sentences
from filters.safety.lists import LISTED, word_lists

BREAST_CANCER = (
    "Breast cancer screening by mammogram finds a tumour early. Patients with a lump in the breast or a change of the "
    "nipple should see a doctor; the nipples of both breasts are examined. Vaginal bleeding, rectal and anal cancer, "
    "and diseases of the penis and the vulva are other reasons to visit a clinic. Sexual health and sex education "
    "are part of the treatment."
)
COURT = (
    "The court heard that the defendant had raped the victim twice. He was convicted of rape and of distributing "
    "pornography, and the judge sentenced him to nine years. The appeal against the rape conviction was dismissed; the "
    "prosecution said that the victim had testified about sexual assault, incest and porn found by police."
)
SCUNTHORPE = (
    "Scunthorpe, Penistone, Cockermouth, Sussex, Middlesex and Clitheroe are towns and counties of England. Dick Van "
    "Dyke, Mr Butts of Assington and Ms Titsworth met at the Arsenal. The analyst Shitake cooked shiitake. " * 3
)
SPAM = (
    "Free porn tube: milf gangbang, creampie, cumshot and bukkake videos! Hot shemale blowjob and deepthroat camgirl. "
)
RUDE = [
    "this bitch is fucking crazy lol",
    "damn that shit was good as hell, my nigga",
    "what the fuck is wrong with this stupid ass phone",
    "these hoes ain't loyal",
    "shut the fuck up you asshole and play the damn game",
]
PEOPLE = [
    "Muslim",
    "Jewish",
    "gay",
    "lesbian",
    "transgender",
    "Black",
    "white",
    "Mexican",
    "immigrant",
    "Quaker",
    "Tamil",
]
FRAMES = [
    "{}",
    "A {} colleague of mine won a prize for her paper.",
    "Yesterday a {} family opened a bakery in our street.",
    "We read a novel by a {} author in class, and then discussed it.",
    "As a {} person, I like to hike and to bake bread.",
]


def flags(texts: list[str | None]) -> dict[str, list[bool]]:
    found = safety.measure(pa.array(texts, pa.string()))
    return {name: [value >= safety.FLAGGED for value in found[name].to_pylist()] for name in found.column_names}


def test_the_taxonomy_has_twelve_categories_and_fifty_one_subcategories() -> None:
    found = safety.taxonomy()
    assert len(found) == 12
    assert sum(len(one.subcategories) for one in found) == 51
    assert [one.title for one in found if one.named_by == "AFM"] == [
        "Hate speech, stereotypes and slurs",
        "Discrimination, marginalisation and exclusion",
        "Illegal activities",
        "Adult sexual material",
        "Graphic violence",
    ]
    names = [part.name for one in found for part in one.subcategories]
    assert len(set(names)) == len(names)


def test_what_judges_a_category_is_what_the_taxonomy_says() -> None:
    from filters.safety.model import classifier

    with_model = set(classifier().names)
    for one in safety.taxonomy():
        judges = {judge for part in one.subcategories for judge in part.judged}
        assert ("classifier" in judges) == (one.name in with_model) == one.measured, one.name
        assert ("list" in judges) == (one.name in LISTED), one.name
        assert ("domains" in judges) == bool(one.domains), one.name


def test_columns_are_categories_first_hate_speech() -> None:
    found = safety.measure(pa.array(["Good morning.", None, ""]))
    assert found.column_names == list(safety.categories())
    assert found.column_names[0] == "hate_speech"
    assert all(field.type == pa.float64() for field in found.schema)
    assert [found[name][row].as_py() for name in found.column_names for row in (1, 2)] == [0.0] * 24


@pytest.mark.parametrize("text", ["!!!", "😀😀 👍", "... --- ...", "\u200f\u200f", "\x00", "— ? !\n\n***"])
def test_a_text_without_words_is_0_throughout(text: str) -> None:
    for family in ("safety", "safety_sentences"):
        found = filters.measure(pa.array([text, "A word."]), [family]).to_pylist()
        assert set(found[0].values()) == {0.0}
        assert max(found[1].values()) > 0


def test_context_explains_words() -> None:
    for text in (BREAST_CANCER, COURT, SCUNTHORPE):
        assert not any(values[0] for values in flags([text]).values()), text


def test_density_flags_and_a_single_word_does_not() -> None:
    assert flags([SPAM])["adult_sexual_material"] == [True]
    lists = word_lists()
    assert len(lists.groups) == len(LISTED)
    page = "The committee met on Tuesday to discuss the budget for roads and bridges in the county. " * 20
    assert not any(flags([page + "bukkake"])["adult_sexual_material"])
    casino = "Online casino bonus: free spins, no deposit bonus and real money slots. Play blackjack online! "
    assert flags([casino])["regulated_goods"] == [True]
    assert flags(["The casino opened in 1863 and is now a museum."])["regulated_goods"] == [False]


def test_rudeness_alone_is_not_hate() -> None:
    assert flags(list(RUDE))["hate_speech"] == [False] * len(RUDE)


def test_hate_is_flagged() -> None:
    hate = ["I hate all niggers, they should all be killed", "kill all the faggots and kikes, they are filthy vermin"]
    assert flags(list(hate))["hate_speech"] == [True, True]


def test_identity_words_alone_never_flag() -> None:
    texts = [frame.format(one) for one in PEOPLE for frame in FRAMES]
    for name, values in flags(list(texts)).items():
        assert not any(values), (name, [text for text, bad in zip(texts, values, strict=True) if bad])


@pytest.mark.slow
def test_documentation_of_programs_is_not_flagged() -> None:
    # "self" on every line of a class: an earlier model dropped a seventh of such pages as self-harm.
    names = [
        "abc",
        "argparse",
        "ast",
        "asyncio",
        "builtins",
        "collections.abc",
        "decimal",
        "email.message",
        "enum",
        "io",
    ]
    names += ["json", "logging", "os", "pathlib", "pwd", "queue", "socket", "sqlite3", "threading", "time", "typing"]
    names += ["unittest", "urllib.request", "weakref", "xml.dom.minidom", "zipfile", "_weakrefset", "_py_abc", "_pyio"]
    plain = pydoc.plaintext  # type: ignore[attr-defined]
    texts: list[str | None] = [pydoc.render_doc(import_module(name), renderer=plain) for name in names]
    bad = {name: sum(values) for name, values in flags(texts).items() if any(values)}
    assert sum(bad.values()) <= 1, bad


@pytest.mark.data
def test_sentences_about_people_of_a_religion_are_not_flagged(pomona_data: Path) -> None:
    # BBQ is in no training set; its contexts speak of crimes and quarrels beside the names of religions.
    # Neutral sentences were added to the training set after some had been flagged: a regression test, not a figure.
    with gzip.open(pomona_data / "safety" / "bbq_religion.jsonl.gz", "rt", encoding="utf-8") as file:
        texts = sorted({json.loads(line)["context"] for line in file})
    found = flags(list(texts))
    assert np.any(list(found.values()), axis=0).mean() <= 0.02


@pytest.mark.data
def test_at_most_two_in_a_hundred_clean_pages_are_flagged(pomona_data: Path) -> None:
    texts: list[str | None] = []
    for folder in ("wcxb_dev", "magic_article", "readability"):
        with gzip.open(pomona_data / "html_gold" / folder / "index.jsonl.gz", "rt", encoding="utf-8") as file:
            texts += [json.loads(line).get("gold_text") or "" for line in file]
    texts = [text for text in texts if text and len(text) >= 200]
    assert len(texts) > 800
    assert np.any(list(flags(texts).values()), axis=0).mean() <= 0.02


@pytest.mark.data
def test_the_card_tells_of_the_model_and_the_data(pomona_data: Path) -> None:
    import hashlib

    folder = Path(safety.__file__).parent
    card = json.loads((folder / "CARD.json").read_text())
    assert card["sha256"] == hashlib.sha256((folder / "model.npz").read_bytes()).hexdigest()
    assert (folder / "model.npz").stat().st_size <= 2_000_000
    for name, told in card["data"].items():
        assert told["sha256"] == hashlib.sha256((pomona_data / name).read_bytes()).hexdigest()
        assert told["licence"]
    assert card["unmeasured"] == [one.name for one in safety.taxonomy() if not one.measured] == ["regulated_goods"]
    # These are what the docs promise, on texts that the models had not seen.
    assert card["held_out"]["hate_speech"]["auc"] >= 0.9
    shares = card["flagged_by_set"]
    assert shares["davidson offensive"]["hate_speech"] < shares["davidson hate"]["hate_speech"] / 5
    assert shares["davidson neither"]["hate_speech"] <= 0.02


@given(
    st.lists(
        st.sampled_from([*RUDE, SPAM, COURT, "", "x", "日本語の文。もう一つ。", "K\u212aelvin kelvin"]), max_size=6
    )
)
@settings(max_examples=25, deadline=None)
def test_a_value_depends_on_its_own_text_alone(texts: list[str]) -> None:
    families = ["safety", "safety_sentences"]
    whole = filters.measure(pa.array(texts, pa.string()), families)
    alone = [filters.measure(pa.array([text]), families) for text in texts]
    assert whole.equals(pa.concat_tables([whole.slice(0, 0), *alone]).combine_chunks())
    backwards = filters.measure(pa.array(texts[::-1], pa.string()), families)
    assert whole.to_pylist() == backwards.to_pylist()[::-1]


def test_long_lines_and_many_sentences_are_read() -> None:
    found = safety.measure(pa.array(["word " * 200_000, "\n".join(["A line."] * 50_000), "\x00" * 1000, "😀" * 1000]))
    assert all(0 <= value < 0.5 for name in found.column_names for value in found[name].to_pylist())


def test_blanking_takes_out_the_sentences_and_tells_where() -> None:
    bad = "I hate all niggers, they should all be killed."
    text = f"The café opened at nine 👍.\nCoffee was served. {bad} Then it rained.\n{bad}\nThe end."
    column = pa.array([text, "Nothing here.", bad, ""], pa.large_string())
    values = filters.measure(column, ["safety_sentences"])["safety_sentences.hate_speech"].to_pylist()
    assert [value > 0.4 for value in values] == [True, False, True, False]
    done = safety_sentences.blank(column, [{"hate_speech": 0.4}] * 4)
    assert done.text.to_pylist() == [
        "The café opened at nine 👍.\nCoffee was served.  Then it rained.\n\nThe end.",
        "Nothing here.",
        "",
        "",
    ]
    assert [text[start:end] for start, end in done.spans[0]] == [bad, bad]
    assert done.spans[1] == done.spans[3] == []
    assert done.sentences.tolist() == [6, 1, 1, 0]
    marked = safety_sentences.blank(column, [{"hate_speech": 0.4}, {}, {}, {}], "<BLANKED>").text.to_pylist()
    assert marked[0] == text.replace(bad, "<BLANKED>")
    assert marked[2] == bad
    assert safety_sentences.blank(pa.array([], pa.large_string()), []).text.to_pylist() == []


def test_bytes_that_are_not_utf8_outlive_blanking() -> None:
    bad = b"I hate all niggers, they should all be killed."
    column = pa.array([b"caf\xe9 is open. " + bad], pa.large_binary()).view(pa.large_string())
    done = safety_sentences.blank(column, [{"hate_speech": 0.4}])
    assert done.text.view(pa.large_binary()).to_pylist() == [b"caf\xe9 is open. "]
    assert done.spans == [[(14, 14 + len(bad))]]


def test_presets() -> None:
    assert {rule.signal for rule in filters.rules("safety")} == {f"safety.{name}" for name in safety.categories()}
    table = safety.measure(pa.array([SPAM, COURT])).rename_columns([f"safety.{name}" for name in safety.categories()])
    assert filters.decide(table, filters.rules("safety"))["reason"].to_pylist() == ["safety-adult-sexual-material", ""]
    exact = pa.table({f"safety.{name}": [0.5] for name in safety.categories()})
    assert filters.decide(exact, filters.rules("safety"))["keep"].to_pylist() == [False]  # 0.5 is flagged
    assert {rule.action for rule in filters.rules("safety_sentences")} == {"blank"}
    with pytest.raises(ValueError, match="expected a signal of the family safety_sentences"):
        filters.Rule(name="x", signal="safety.hate_speech", max=0.5, action="blank")


def test_the_lists_of_27_languages_hold_no_ordinary_words() -> None:
    folder = Path(safety.__file__).parent
    found = json.loads((folder / "ldnoobw.json").read_text(encoding="utf-8"))
    assert len(found["lists"]) == 27
    assert found["licence"] == "CC-BY-4.0"
    assert "am" in found["left_out"]["tr"]  # "I am"
    assert flags(["I am what I am, and so am I. Am I am am am am am am?"])["adult_sexual_material"] == [False]
    own = yaml.safe_load((folder / "own_lists.yaml").read_text(encoding="utf-8"))
    english = set(found["lists"]["en"])
    assert set(own["rude"]) <= english
    assert not set(own["rude"]) & set(own["ambiguous"])

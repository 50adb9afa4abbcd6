from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from filters.pii import MissingExtra, redact
from filters.pii.names import Names


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline that knows two names and a company, saved as models are."""
    import spacy

    pipeline: Any = spacy.blank("en")
    patterns = [("PERSON", "Jane Doe"), ("PERSON", "Ámbar 🙂"), ("ORG", "Acme"), ("PERSON", "PERSON_NAME")]
    pipeline.add_pipe("entity_ruler").add_patterns([{"label": label, "pattern": text} for label, text in patterns])
    folder = tmp_path_factory.mktemp("model")
    pipeline.to_disk(folder)
    return folder


def test_names_are_replaced_beside_the_rest(model: Path) -> None:
    names = Names.load(model)
    column = pa.array(["é Jane Doe of Acme, jane.doe@acme.com", None, "Ámbar 🙂 and Jane Doe", "nobody"])
    once = redact(column, ("email",), names=names)
    assert once.to_pylist() == [
        "é <PERSON_NAME> of Acme, <EMAIL_ADDRESS>",
        None,
        "<PERSON_NAME> and <PERSON_NAME>",
        "nobody",
    ]
    assert redact(once, ("email",), names=names).equals(once)
    assert redact(column, (), names=names, numbered=True)[2].as_py() == "<PERSON_NAME_1> and <PERSON_NAME_2>"
    assert redact(column, ("email",))[0].as_py() == "é Jane Doe of Acme, <EMAIL_ADDRESS>"


def test_spans_are_code_points(model: Path) -> None:
    text = "👩‍💻 \udcff Jane Doe"
    (span,) = Names.load(model).find(text)
    assert (span.kind, span.value) == ("name", "Jane Doe") == ("name", text[span.start : span.end])


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "spacy":
            raise ModuleNotFoundError(name=name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtra, match=r"names need the package spacy.*\.\[names\]"):
        Names.load("en_core_web_sm")

"""What is said of the sources is true of them: the page, the names, and the packages that some need."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import TypeAdapter

from pipelines.sources import MediaWikiSource, SourceConfig, StackExchangeSource

PAGE = (Path(__file__).parents[3] / "docs" / "sources.md").read_text()
TYPES = [one.model_fields["type"].default for one in get_args(SourceConfig)]


def test_the_page_names_every_source() -> None:
    rows = re.findall(r"(?m)^\| `([a-z_]+)` \|", PAGE.partition("## What a record carries")[0])
    assert set(TYPES) <= set(rows)
    assert set(rows) - set(TYPES) <= {"type", "code"}


def test_the_recipes_of_the_page_are_right() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert blocks
    for block in blocks:
        for source in yaml.safe_load(block)["sources"]:
            assert TypeAdapter[Any](SourceConfig).validate_python(source).name == source["name"]


def test_reasons_of_the_page_are_the_programs() -> None:
    code = "".join(file.read_text() for file in (Path(__file__).parents[3] / "pipelines").rglob("*.py"))
    for reason in re.findall(r"`([a-z0-9]+(?:-[a-z0-9]+)+)`", PAGE.partition("## Bad input")[2]):
        assert f'"{reason}"' in code, reason


@pytest.mark.parametrize(
    ("source", "file", "package", "extra"),
    [(MediaWikiSource, "w.xml", "mwparserfromhell", "wiki"),
     (StackExchangeSource, "a.stackexchange.com.7z", "py7zr", "stackexchange")],
)  # fmt: skip
def test_a_missing_package_is_named_with_its_extra(
    source: Any, file: str, package: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / file).write_text("<mediawiki/>")
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *given: None if name == package else find(name, *given)
    )
    with pytest.raises(ModuleNotFoundError, match=f"needs the package {package}.*'{extra}'") as error:
        source(name="s", paths=(tmp_path / file,)).units()
    assert error.value.name == package

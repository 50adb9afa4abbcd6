"""Files damaged in any way: named outcomes, the same each time and however they are cut; no neighbour is lost."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.extract import HTML_PARTS
from pipelines.extract.extraction import ExtractionError
from pipelines.extract.html_parts import read_parts
from pipelines.extract.latex import read_latex
from pipelines.extract.wikitext import read_wikitext
from pipelines.ledger import KEPT
from pipelines.sources.files import SourceError
from pipelines.sources.warc import ARCHIVES
from tests.fuzz.files import SEEDS, SPLITTABLE, bodies, rows
from tests.fuzz.pages import damaged
from tests.fuzz.rounds import ROUNDS

SETTINGS = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("kind", SEEDS)
def test_the_files_are_read(kind: str, tmp_path: Path) -> None:
    name, data, make = SEEDS[kind]
    (tmp_path / name).write_bytes(data)
    assert any(row[1] == KEPT for row in rows(make, tmp_path)), "what is damaged below must be sound before"


@pytest.mark.parametrize("kind", SEEDS)
@pytest.mark.parametrize("round_", ROUNDS)
@settings(SETTINGS, max_examples=15)
@given(data=st.data())
def test_damaged_files(kind: str, round_: int, data: st.DataObject) -> None:
    name, sound, make = SEEDS[kind]
    broken = data.draw(damaged(sound))
    with tempfile.TemporaryDirectory(prefix="pomona-fuzz-") as place:
        folder = Path(place)
        # Names of a kind begin alike: the sound file is before, the damaged one after it.
        (folder / "a").mkdir()
        (folder / "a" / name).write_bytes(sound)
        alone = rows(make, folder)
        (folder / "b").mkdir()
        (folder / "b" / name).write_bytes(broken)
        try:
            both = rows(make, folder)
        except SourceError as error:
            assert name in str(error)  # noqa: PT017 - a file that is none of its kind stops the recipe, by name
            return
        assert rows(make, folder) == both
        assert set(alone) <= set(both) or kind == "latex", "loose files of a folder are one project"
        if kind in SPLITTABLE:
            assert rows(make, folder, split_bytes=200) == both
        _read(make, folder)


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize("round_", ROUNDS)
@settings(SETTINGS, max_examples=15)
@given(data=st.data())
def test_real_archives_damaged(pomona_data: Path, round_: int, data: st.DataObject) -> None:
    files = sorted(file for file in (pomona_data / "warc").rglob("*") if file.name.endswith(ARCHIVES))
    file = data.draw(st.sampled_from(files))
    with file.open("rb") as stream:
        start = stream.read(200_000)
    with tempfile.TemporaryDirectory(prefix="pomona-fuzz-") as place:
        suffix = next(one for one in sorted(ARCHIVES, key=len, reverse=True) if file.name.endswith(one))
        (Path(place) / f"f{suffix}").write_bytes(data.draw(damaged(start)))
        found = rows(SEEDS["warc"][2], Path(place))
        assert rows(SEEDS["warc"][2], Path(place), split_bytes=5000) == found


def _read(make: object, folder: Path) -> None:
    """What the guarded readers make of the bodies, without their guard: a text or their own error."""
    try:
        given = bodies(make, folder)  # type: ignore[arg-type]
    except SourceError:
        return
    for body, content_type in given:
        try:
            if content_type.startswith("text/x-wiki"):
                text = read_wikitext(body, content_type).text
            elif content_type == "application/x-tex":
                text = read_latex(body).text
            elif content_type.startswith(HTML_PARTS):
                text = read_parts(body).text
            else:
                continue
        except ExtractionError:
            continue
        assert text.strip()
        assert "\0" not in text
        text.encode("utf-8")

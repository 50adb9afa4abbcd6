from __future__ import annotations

import bz2
import gzip
import html
import io
import pydoc_data.topics
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.extract import extract_body
from pipelines.sources.archive_input import Damage
from pipelines.sources.files import SourceError
from pipelines.sources.mediawiki import MediaWikiSource
from pipelines.sources.mediawiki_pages import PageText, Span, bzip2_spans, pages, plain_spans
from pipelines.sources.record import Failure, Outcome, Record, Refusal, Source

TOPICS = dict(sorted(pydoc_data.topics.topics.items()))
HEAD = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" version="0.11" xml:lang="en">
  <siteinfo><sitename>Test</sitename><base>https://wiki.test/wiki/Main_Page</base>
    <namespaces><namespace key="0" case="first-letter" /><namespace key="6" case="first-letter">Datei</namespace>
    <namespace key="14" case="first-letter">Kategorie</namespace></namespaces></siteinfo>
"""


def _page(title: str, text: str, number: int = 1, ns: int = 0, extra: str = "", model: str = "wikitext") -> str:
    return f"""  <page>
    <title>{html.escape(title)}</title><ns>{ns}</ns><id>{number}</id>{extra}
    <revision><id>{number * 10}</id><timestamp>2024-01-02T03:04:05Z</timestamp><model>{model}</model>
      <text bytes="{len(text)}" xml:space="preserve">{html.escape(text, quote=False)}</text></revision>
  </page>
"""


def _multistream(streams: Sequence[str]) -> bytes:
    """As Wikimedia packs its dumps: a stream for the head, one for each hundred pages, one for the end."""
    return b"".join(bz2.compress(one.encode()) for one in (HEAD, *streams, "</mediawiki>\n"))


def _dump(tmp_path: Path, streams: int = 8) -> tuple[Path, list[str]]:
    names = list(TOPICS)
    made = [
        "".join(_page(name, TOPICS[name], names.index(name) + 1) for name in names[at::streams])
        for at in range(streams)
    ]  # fmt: skip
    path = tmp_path / "testwiki-pages-articles-multistream.xml.bz2"
    path.write_bytes(_multistream(made))
    return path, [name for at in range(streams) for name in names[at::streams]]


def _outcomes(source: MediaWikiSource) -> list[Outcome]:
    return [outcome for unit in source.units() for outcome in source.read(unit)]


def test_multistream_dumps_are_read_in_parts(tmp_path: Path) -> None:
    path, names = _dump(tmp_path)
    source = MediaWikiSource(name="w", paths=(path,))
    assert isinstance(source, Source)
    (unit,) = source.units()
    whole = list(source.read(unit))
    assert [outcome.content.decode() for outcome in whole] == [TOPICS[name] for name in names]
    first = whole[0]
    assert isinstance(first, Record)
    assert first.uri == f"https://wiki.test/wiki/{names[0]}"
    assert (first.license, first.kind) == ("CC-BY-SA-4.0", "encyclopedia")
    assert first.metadata["revised"] == "2024-01-02T03:04:05Z"
    parts = MediaWikiSource(name="w", paths=(path,), split_bytes=path.stat().st_size // 5)
    units = parts.units()
    assert 3 < len(units) < 8
    assert [outcome for unit in units for outcome in parts.read(unit)] == whole
    assert sum(unit.bytes for unit in units) == path.stat().st_size


@pytest.mark.parametrize("suffix", ["", ".gz", ".bz2"])
def test_one_stream_or_none(tmp_path: Path, suffix: str) -> None:
    data = (HEAD + "".join(_page(name, text) for name, text in TOPICS.items()) + "</mediawiki>").encode()
    path = tmp_path / f"dump.xml{suffix}"
    path.write_bytes({"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress}[suffix](data))
    for split in (1 << 30, 50_000):
        source = MediaWikiSource(name="w", paths=(path,), split_bytes=split)
        assert [outcome.content.decode() for outcome in _outcomes(source)] == list(TOPICS.values())
        assert (len(source.units()) > 1) == (suffix == "" and split == 50_000)


def test_what_is_no_article_is_dropped_with_its_reason(tmp_path: Path) -> None:
    redirect = '<redirect title="There" />'
    two = "<revision><id>1</id><text>old</text></revision>"
    path = tmp_path / "d.xml"
    path.write_text(
        HEAD
        + _page("Straße & Co?", "text")
        + _page("Here", "#REDIRECT [[There]]", extra=redirect)
        + _page("Talk:X", "chat", ns=1)
        + _page("X.css", "a {}", model="css")
        + _page("Two", "new", extra=two)
        + "<page><title>broken</title><revision><text>a & b</text></revision></page>"
        + "<page><title>bomb</title><revision><text>&lol;</text></revision></page>"
        + "<page><title></title><revision><text>x</text></revision></page>"
        + _page("Long", "x" * 50_000)
        + _page("Last", "end")
        + "</mediawiki>"
    )
    outcomes = _outcomes(MediaWikiSource(name="w", paths=(path,), max_record_bytes=20_000))
    assert [getattr(outcome, "reason", outcome.content.decode()) for outcome in outcomes] == [
        "text", "redirect", "other-namespace", "not-wikitext", "new", "invalid-xml", "invalid-xml", "invalid-page",
        "too-large", "end",
    ]  # fmt: skip
    assert outcomes[0].uri == "https://wiki.test/wiki/Stra%C3%9Fe_%26_Co%3F"
    assert isinstance(outcomes[1], Refusal)
    assert outcomes[1].evidence["to"] == "There"
    assert len({outcome.uri for outcome in outcomes}) == len(outcomes)
    both = MediaWikiSource(name="w", paths=(path,), namespaces=(0, 1))
    assert "chat" in [outcome.content.decode() for outcome in _outcomes(both) if isinstance(outcome, Record)]


def test_a_damaged_stream_costs_its_own_pages(tmp_path: Path) -> None:
    path, names = _dump(tmp_path)
    data = bytearray(path.read_bytes())
    spans = bzip2_spans(io.BytesIO(bytes(data)), len(data), 1)
    assert len(spans) == 10
    at = spans[3].start + 200
    data[at : at + 50] = b"\0" * 50
    path.write_bytes(data)
    for split in (1 << 30, len(data) // 5):
        outcomes = _outcomes(MediaWikiSource(name="w", paths=(path,), split_bytes=split))
        (failure,) = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
        assert failure.reason == "damaged-file"
        assert failure.evidence["offset"] == spans[3].start
        lost = set(list(TOPICS)[2::8])
        assert [outcome.content.decode() for outcome in outcomes if isinstance(outcome, Record)] == [
            TOPICS[name] for name in names if name not in lost
        ]


@pytest.mark.parametrize("suffix", [".bz2", ".gz", ""])
def test_a_dump_that_is_cut_off_says_so(tmp_path: Path, suffix: str) -> None:
    data = (HEAD + "".join(_page(name, text) for name, text in TOPICS.items())).encode()
    packed = {"": bytes, ".gz": gzip.compress, ".bz2": lambda raw: bz2.compress(raw, 1)}[suffix](data)
    path = tmp_path / f"dump.xml{suffix}"
    path.write_bytes(packed[: len(packed) * 3 // 4])
    outcomes = _outcomes(MediaWikiSource(name="w", paths=(path,)))
    kept = [outcome.content.decode() for outcome in outcomes if isinstance(outcome, Record)]
    assert kept == list(TOPICS.values())[: len(kept)]
    assert len(kept) > 5
    failures = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    assert [failure.reason for failure in failures] == ["damaged-file"]
    assert "page" in failures[0].evidence["detail"]


def test_files_that_are_no_dump_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text("<rss>no wiki</rss>")
    with pytest.raises(SourceError, match=r"a\.xml: expected a MediaWiki export.*sources\.w\.paths"):
        MediaWikiSource(name="w", paths=(tmp_path,)).units()


_TEXTS = st.lists(st.sampled_from(["a", "<page>", "</page>", "x" * 3000, "<pa", "ge>", ""]), max_size=12)


@settings(max_examples=150, deadline=None)
@given(_TEXTS, st.integers(1, 4), st.integers(20, 3000), st.booleans(), st.integers(0, 3))
def test_wherever_a_dump_is_cut_its_pages_are_the_same(
    texts: list[str], streams: int, about: int, packed: bool, border: int
) -> None:
    data = (HEAD + "".join(_page("t", text, number) for number, text in enumerate(texts)) + "</mediawiki>").encode()
    if packed:  # streams that end anywhere, also inside a page or its tag, as pbzip2 makes them
        size = max(1, (len(data) + border) // streams)
        data = b"".join(bz2.compress(data[at : at + size]) for at in range(0, len(data), size))
        spans = bzip2_spans(io.BytesIO(data), len(data), about)
    else:
        spans = plain_spans(len(data), about)

    def read(span: Span) -> list[bytes | None]:
        found = list(pages(io.BytesIO(data), span, 1 << 20))
        assert not [one for one in found if isinstance(one, Damage)]
        return [one.xml for one in found if isinstance(one, PageText)]

    whole = read(Span())
    assert len(whole) == len(texts)
    assert [xml for span in spans for xml in read(span)] == whole


@pytest.mark.data
def test_real_dumps(pomona_data: Path) -> None:
    files = (pomona_data / "text/enwiki_dump_shortened.xml.bz2", pomona_data / "text/bgwiki_dump_shortened.xml.bz2")
    outcomes = _outcomes(MediaWikiSource(name="w", paths=files, license="CC-BY-SA-3.0"))
    counts = Counter(type(outcome).__name__ if isinstance(outcome, Record) else outcome.reason for outcome in outcomes)
    assert counts == {"Record": 107, "redirect": 99, "other-namespace": 3}
    found = {outcome.metadata["title"]: outcome for outcome in outcomes if isinstance(outcome, Record)}
    anarchism = found["Anarchism"]
    assert anarchism.uri == "https://en.wikipedia.org/wiki/Anarchism"
    assert anarchism.metadata["language"] == "en"
    text = extract_body(anarchism.content, anarchism.content_type).text
    assert text.startswith("Anarchism is a political philosophy that advocates self-governed societies based on")
    assert "## Etymology and terminology" in text.split("\n")
    bulgarian = [one for one in found.values() if one.uri.startswith("https://bg.")]  # its dump is in UTF-16
    assert len(bulgarian) == 1
    shown = extract_body(bulgarian[0].content, bulgarian[0].content_type).text
    assert "Категория:" not in shown
    assert "Файл:" not in shown

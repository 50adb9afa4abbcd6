from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from pipelines.extract import extract_body
from pipelines.sources.latex import LatexSource
from pipelines.sources.latex_project import Project, decode
from pipelines.sources.record import Failure, Outcome, Record, Refusal, Source

MAIN = r"\documentclass{article}\begin{document}\title{T}Hello. \input{parts/one} \include{two}\end{document}"
PAPER = {"main.tex": MAIN.encode(), "parts/one.tex": b"One. \\input{parts/deep}", "parts/deep.tex": b"Deep.",
         "two.tex": b"Two.", "figure.pdf": b"%PDF", "refs.bbl": b"x"}  # fmt: skip


def _tar(files: Mapping[str, bytes], mode: str = "w") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # pyright: ignore[reportArgumentType, reportCallIssue]
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def _outcomes(*paths: Path, **fields: object) -> list[Outcome]:
    source = LatexSource.model_validate({"name": "l", "paths": paths, **fields})
    assert isinstance(source, Source)
    return [outcome for unit in source.units() for outcome in source.read(unit)]


def _text(outcome: Outcome) -> str:
    assert isinstance(outcome, Record), outcome
    return extract_body(outcome.content, outcome.content_type).text


def test_one_paper_from_every_kind_of_file(tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(_tar(PAPER, "w:gz"))
    (tmp_path / "b.tgz").write_bytes(_tar(PAPER, "w:gz"))
    (tmp_path / "c.tar").write_bytes(_tar(PAPER))
    (tmp_path / "2301.00001.gz").write_bytes(
        gzip.compress(rb"\documentclass{article}\begin{document}Alone.\end{document}")
    )
    outcomes = _outcomes(tmp_path, license="CC-BY-4.0")
    texts = {outcome.uri: _text(outcome) for outcome in outcomes}
    whole = "# T\n\nHello. One. Deep. Two."
    assert texts == {"2301.00001.gz": "Alone.", "a.tar.gz": whole, "b.tgz": whole, "c.tar": whole}
    assert isinstance(outcomes[1], Record)
    assert (outcomes[1].license, outcomes[1].kind) == ("CC-BY-4.0", "math")
    assert outcomes[1].metadata == {"file": "a.tar.gz", "main": "main.tex"}


def test_loose_files_put_in_one_another(tmp_path: Path) -> None:
    root = tmp_path / "thesis"
    for name, data in PAPER.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    (root / "letter.tex").write_text(r"\documentclass{letter}\begin{document}Dear. \input{gone}\end{document}")
    source = LatexSource(name="l", paths=(root,))
    (unit,) = source.units()
    letter, main = source.read(unit)
    assert (letter.uri, main.uri) == ("thesis#letter.tex", "thesis#main.tex")
    assert _text(main).endswith("Hello. One. Deep. Two.")
    assert isinstance(letter, Record)
    assert letter.metadata["missing_inputs"] == ["gone"]
    (root / "two.tex").write_text("Changed.")
    (changed,) = source.units()
    assert changed.digest != unit.digest


def test_an_archive_of_many_papers(tmp_path: Path) -> None:
    inner = {
        "2301/2301.00001.gz": gzip.compress(_tar(PAPER)),
        "2301/2301.00002.gz": gzip.compress(rb"\documentclass{article}\begin{document}Short.\end{document}"),
        "2301/2301.00003.pdf": b"%PDF-1.4",
        "2301/2301.00004.gz": gzip.compress(b"%auto-ignore\nThis paper was withdrawn. \\documentclass{x}"),
        "2301/2301.00005.gz": gzip.compress(_tar(PAPER))[:-30],
        "2301/2301.00006.gz": gzip.compress(b"%!PS-Adobe"),
        "2301/2301.00007.gz": gzip.compress(_tar({"a.tex": b"no document", "b.tex": b"nor here"})),
        "2301/2301.00008.gz": gzip.compress(b"\\nopagenumbers Plain \\TeX\\ it is. \\bye"),
        "2301/2301.00009.gz": gzip.compress(b"x" * 3_000_000),
        "2301/2301.00010.gz": gzip.compress(rb"\documentclass{article}\begin{document}Last.\end{document}"),
    }
    (tmp_path / "arXiv_src_2301_001.tar").write_bytes(_tar(inner))
    outcomes = _outcomes(tmp_path, max_record_bytes=1_000_000)
    got = {
        outcome.uri.rpartition("2301.")[2]: outcome.reason if isinstance(outcome, Failure | Refusal) else _text(outcome)
        for outcome in outcomes
    }
    assert got == {
        "00001.gz": "# T\n\nHello. One. Deep. Two.",
        "00002.gz": "Short.",
        "00003.pdf": "pdf-only",
        "00004.gz": "withdrawn",
        "00005.gz": "damaged-file",
        "00006.gz": "not-tex",
        "00007.gz": "no-main-file",
        "00008.gz": "Plain TeX it is.",
        "00009.gz": "too-large",
        "00010.gz": "Last.",
    }


def test_a_cut_archive_says_so(tmp_path: Path) -> None:
    whole = _tar(
        {f"2301/{at}.gz": gzip.compress(rb"\documentclass{a}\begin{document}%d\end{document}" % at) for at in range(20)}
    )
    (tmp_path / "bulk.tar").write_bytes(whole[: len(whole) // 3])
    outcomes = _outcomes(tmp_path)
    assert [_text(outcome) for outcome in outcomes[:-1]] == [str(at) for at in range(len(outcomes) - 1)]
    assert len(outcomes) > 3
    assert isinstance(outcomes[-1], Failure)
    assert outcomes[-1].reason == "damaged-file"


def test_a_bomb_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(_tar({"a.tex": b"x" * 50_000_000}, "w:gz"))
    ring = {"a.tex": MAIN.encode(), "parts/one.tex": b"\\input{two}" * 3, "two.tex": b"\\input{parts/one}" * 3}
    (tmp_path / "ring.tar").write_bytes(_tar(ring))
    wide = {"a.tex": rb"\documentclass{a}\begin{document}" + b"\\input{b}" * 2000, "b.tex": b"\\input{c}" * 2000,
            "c.tex": b"y" * 1000}  # fmt: skip
    (tmp_path / "wide.tar").write_bytes(_tar(wide))
    got = {outcome.uri: getattr(outcome, "reason", "") for outcome in _outcomes(tmp_path)}
    assert got == {"a.tar.gz": "too-large", "ring.tar": "", "wide.tar": "too-large"}


def test_names_of_inputs() -> None:
    files = {"src/a.tex": r"\documentclass{a} \import{sec/}{b} \input c % \input{d}" + "\n", "src/sec/b.tex": "B",
             "c.tex": "C", "d.tex": "D"}  # fmt: skip
    project = Project(files)
    assert project.mains() == ["src/a.tex"]
    resolved = project.resolved("src/a.tex", 1000)
    assert resolved is not None
    assert resolved.text.split("%")[0].split() == [r"\documentclass{a}", "B", "C"]
    assert resolved.missing == ()


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("é".encode(), "é"),
        (b"\xef\xbb\xbfx", "x"),
        ("é".encode("latin-1"), "é"),
        (b"\\usepackage[cp1251]{inputenc} " + "жук".encode("cp1251"), "\\usepackage[cp1251]{inputenc} жук"),
        (b"\\usepackage[applemac]{inputenc} \x8e", "\\usepackage[applemac]{inputenc} é"),
    ],
)
def test_encodings(data: bytes, text: str) -> None:
    assert decode(data) == text

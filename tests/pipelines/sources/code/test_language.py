from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.sources.code.language import identify
from pipelines.sources.code.linguist import linguist

C = "#include <stdio.h>\nint main(void) { return 0; }\n"
PROLOG = ":- module(lists, [append/3]).\nappend([], L, L).\nappend([H|T], L, [H|R]) :- append(T, L, R).\n"
PERL = "use strict;\nmy $x = shift;\nprint $x->{name};\n"


@pytest.mark.parametrize(
    ("path", "text", "language", "by"),
    [
        ("a/b.py", "x = 1\n", "Python", "extension"),
        ("Makefile", "all:\n\tcc a.c\n", "Makefile", "filename"),
        ("a.h", C, "C", "rule"),
        ("a.h", "#include <vector>\nnamespace a { class B; }\n", "C++", "rule"),
        ("a.h", "#import <Foundation/Foundation.h>\n@interface A : NSObject\n@end\n", "Objective-C", "rule"),
        ("a.m", "#import <Foundation/Foundation.h>\n@implementation A\n@end\n", "Objective-C", "rule"),
        ("a.m", "function y = f(x)\n% FORM a sum\ny = x + 1;\nend\n", "MATLAB", "rule"),
        ("a.m", "(* A package *)\nBeginPackage[\"A`\"]\nf[x_] := x^2\n", "Wolfram Language", "rule"),
        ("a.pl", PERL, "Perl", "rule"),
        ("a.pl", PROLOG, "Prolog", "rule"),
        ("a.t", "use v6;\nsay 'hello';\n", "Raku", "rule"),
        ("a.ts", "export const x: number = 1;\n", "TypeScript", "rule"),
        ("a.ts", '<?xml version="1.0"?>\n<!DOCTYPE TS><TS version="2.0">\n</TS>\n', "XML", "rule"),
        ("a.d.ts", "declare const x: number;\n", "TypeScript", "rule"),
        ("a.sql", "SELECT 1;\n", "SQL", "rule"),
        ("a.v", "module counter(input clk);\nalways @(posedge clk) begin end\nendmodule\n", "Verilog", "rule"),
        ("a.v", "Theorem a : 1 = 1.\nProof. reflexivity. Qed.\n", "Rocq Prover", "rule"),
        ("run", "#!/usr/bin/env -S FOO=1 python3.11 -u\nprint(1)\n", "Python", "shebang"),
        ("run", "#!/bin/sh\nexec tclsh \"$0\" \"$@\"\n", "Tcl", "shebang"),
        ("run", "# -*- mode: ruby -*-\nputs 1\n", "Ruby", "modeline"),
        ("run", "puts 1\n# vim: set ft=ruby :\n", "Ruby", "modeline"),
        ("run", '<?xml version="1.0"?>\n<a/>\n', "XML", "xml"),
        ("ls.1", ".TH LS 1\n.SH NAME\nls\n", "Roff Manpage", "rule"),
        ("a.yml", "a: 1\n", "YAML", "rule"),
    ],
)  # fmt: skip
def test_languages(path: str, text: str, language: str, by: str) -> None:
    found = identify(path, text)
    assert found is not None
    assert (found.name, found.by) == (language, by)


@pytest.mark.parametrize(
    ("path", "text"),
    [("notes", "some words\n"), ("a.unknown", "x"), ("mail.msg", "?! this is a letter, not a message type\n")],
)
def test_nothing_says_a_language(path: str, text: str) -> None:
    assert identify(path, text) is None


def test_the_table_is_the_field_s() -> None:
    table = linguist()
    assert len(table.types) > 700
    assert {"Python", "C++", "Objective-C", "Jupyter Notebook", "C#"} <= set(table.types)
    assert table.types["JSON"] == "data"
    assert all(language in table.types for names in table.extensions.values() for language in names)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["a.h", "a.m", "a.pl", "a.ts", "a.t", "a.txt", "a.inc", "a.1", "a", "a.sql", "x/.y", "a.b.c.d"]),
    st.text(max_size=300)
    | st.lists(
        st.sampled_from(["#!", "/usr/bin/env ", "-*-", "mode:", "vim:", " ft=", "\n", "<?xml", "use ", "::"])
    ).map("".join),
)
def test_any_text_is_answered(path: str, text: str) -> None:
    found = identify(path, text)
    assert found is None or found.type in ("programming", "markup", "data", "prose")
    assert found == identify(f"other/folder/{path}", text)


@pytest.mark.data
def test_real_python(pomona_data: Path) -> None:
    with gzip.open(pomona_data / "code" / "thealgorithms_python_a.jsonl.gz", "rt") as lines:
        files = [json.loads(line) for line in lines]
    assert {getattr(identify(file["file"], file["text"]), "name", None) for file in files} == {"Python"}

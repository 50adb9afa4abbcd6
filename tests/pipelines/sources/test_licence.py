from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.sources.distribution import installed_one
from pipelines.sources.licence import PERMISSIVE, is_permissive, licence_of, of_text

BSD3 = "Redistribution and use in source and binary forms ... Neither the name of the copyright holder nor ..."


@pytest.mark.parametrize(
    ("metadata", "texts", "expected"),
    [
        ({"License-Expression": ["mit or apache-2.0"], "License": ["GPL"]}, [], "MIT OR Apache-2.0"),
        ({"License-Expression": ["my own"]}, [], None),
        ({"License": ["Apache License, Version 2.0"]}, [], "Apache-2.0"),
        ({"License": ["BSD"]}, [BSD3], "BSD-3-Clause"),
        ({"License": ["BSD"]}, [], "LicenseRef-BSD"),
        ({"License": ["see LICENSE"], "Classifier": ["License :: OSI Approved :: MIT License"]}, [], "MIT"),
        ({"License": [BSD3 * 5], "Classifier": ["License :: OSI Approved :: BSD License"]}, [], "BSD-3-Clause"),
        (
            {
                "Classifier": [
                    "License :: OSI Approved :: MIT License",
                    "License :: OSI Approved :: GNU General Public License v3 (GPLv3)",
                ]
            },
            [],
            "GPL-3.0-only AND MIT",
        ),
        ({"Classifier": ["License :: OSI Approved"]}, [BSD3], "BSD-3-Clause"),
        ({"License": ["proprietary"]}, [], None),
        ({}, [], None),
    ],
)
def test_what_is_stated(metadata: dict[str, list[str]], texts: list[str], expected: str | None) -> None:
    assert licence_of(metadata, texts)[0] == expected


@pytest.mark.parametrize(
    ("expression", "permissive"),
    [
        ("MIT", True),
        ("mit", True),
        ("GPL-3.0-only", False),
        ("MIT OR GPL-3.0-only", True),
        ("MIT AND GPL-3.0-only", False),
        ("Apache-2.0 WITH LLVM-exception AND BSD-3-Clause", True),
        ("GPL-2.0-only WITH Classpath-exception-2.0", False),
        ("MPL-2.0 AND (Apache-2.0 OR MIT)", False),
        ("(MIT OR GPL-3.0-only) AND (ISC OR LGPL-3.0-only)", True),
        ("MIT OR GPL-3.0-only AND LGPL-3.0-only", True),
        ("(MIT", False),
        ("MIT)", False),
        ("", False),
        (None, False),
    ],
)
def test_expressions(expression: str | None, permissive: bool) -> None:
    assert is_permissive(expression, PERMISSIVE) is permissive


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(["MIT", "GPL-3.0-only", "AND", "OR", "WITH", "(", ")"]), max_size=9))
def test_any_expression_is_answered(tokens: list[str]) -> None:
    expression = " ".join(tokens)
    if is_permissive(expression, PERMISSIVE):
        assert "MIT" in tokens
        assert is_permissive(expression, (*PERMISSIVE, "GPL-3.0-only"))


def test_texts_of_installed_packages() -> None:
    assert installed_one("pytest").licence[0] == "MIT"
    assert installed_one("numpy").licence[0] == "BSD-3-Clause AND 0BSD AND MIT AND Zlib AND CC0-1.0"
    assert is_permissive(installed_one("scipy").licence[0], PERMISSIVE)
    assert not is_permissive(installed_one("hypothesis").licence[0], PERMISSIVE)
    assert of_text("All rights reserved.") is None

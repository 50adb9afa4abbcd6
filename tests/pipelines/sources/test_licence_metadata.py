from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.sources.licence_metadata import is_metadata, stated_by


@pytest.mark.parametrize(
    ("name", "text", "licence"),
    [
        ("METADATA", "Name: a\nLicense-Expression: MIT\n\nText", "MIT"),
        ("PKG-INFO", "Name: a\nLicense: BSD\nClassifier: License :: OSI Approved :: BSD License\n", "LicenseRef-BSD"),
        ("pyproject.toml", '[project]\nlicense = "MIT OR Apache-2.0"\n', "MIT OR Apache-2.0"),
        ("pyproject.toml", '[project]\nlicense = {text = "MIT License"}\n', "MIT"),
        ("pyproject.toml", '[project]\nlicense = {file = "LICENSE"}\n', None),
        ("pyproject.toml", '[project]\nclassifiers = ["License :: OSI Approved :: ISC License (ISCL)"]\n', "ISC"),
        ("pyproject.toml", '[tool.poetry]\nlicense = "Apache-2.0"\n', "Apache-2.0"),
        ("setup.cfg", "[metadata]\nlicense = MIT\n", "MIT"),
        ("setup.cfg", "[metadata]\nclassifiers =\n    License :: OSI Approved :: MIT License\n", "MIT"),
        ("Cargo.toml", '[package]\nlicense = "MIT/Apache-2.0"\n', "MIT OR Apache-2.0"),
        ("Cargo.toml", "[package]\nlicense.workspace = true\n", None),
        ("package.json", '{"license": "(MIT OR GPL-3.0)"}', "MIT OR GPL-3.0-only"),
        ("package.json", '{"licenses": [{"type": "MIT"}, {"type": "Apache-2.0"}]}', "MIT OR Apache-2.0"),
        ("package.json", '{"license": "UNLICENSED"}', None),
        ("composer.json", '{"license": ["LGPL-2.1-only", "GPL-3.0-or-later"]}', "LGPL-2.1-only OR GPL-3.0-or-later"),
        ("a.gemspec", 'Gem::Specification.new do |s|\n  s.licenses = ["MIT", "Ruby"]\nend\n', "MIT OR Ruby"),
        ("a.gemspec", "  spec.license = 'MIT'\n", "MIT"),
    ],
)
def test_what_packages_state(name: str, text: str, licence: str | None) -> None:
    assert is_metadata(name)
    assert stated_by(name, text.encode())[0] == licence


@pytest.mark.parametrize("name", ["METADATA", "pyproject.toml", "setup.cfg", "Cargo.toml", "package.json", "a.gemspec"])
def test_what_is_damaged_states_nothing(name: str) -> None:
    assert stated_by(name, b"\xff\xfe[{]}\x00=") == (None, "")
    assert stated_by(name, b"") == (None, "")


def test_other_files_are_no_metadata() -> None:
    assert not is_metadata("setup.py")
    assert stated_by("setup.py", b"license='MIT'") == (None, "")


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["METADATA", "pyproject.toml", "setup.cfg", "Cargo.toml", "package.json", "a.gemspec"]),
    st.lists(
        st.sampled_from(
            ["[", "]", "{", "}", '"license"', "license", "=", ":", '"MIT"', "project", "metadata", "\n", ".", "1"]
        ),
        max_size=14,
    ).map("".join)
    | st.text(max_size=80),
)  # fmt: skip
def test_any_content_is_answered(name: str, text: str) -> None:
    licence, stated = stated_by(name, text.encode("utf-8", "replace"))
    assert licence is None or stated

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from identify.vendor.licenses import LICENSES

from pipelines.sources.licence import PERMISSIVE, canonical, is_permissive
from pipelines.sources.licence_text import header, licence_of_head, licences_in, notices

TEXTS = dict(LICENSES)
GPL = """This program is free software; you can redistribute it and/or modify
it under the terms of the GNU General Public License as published by
the Free Software Foundation; either version 2 of the License, or
(at your option) any later version."""


@pytest.mark.parametrize("name", TEXTS)
def test_each_licence_is_found_in_its_own_text_alone(name: str) -> None:
    current = {"AGPL-3.0", "GPL-2.0", "GPL-3.0", "LGPL-2.1", "LGPL-3.0"}
    assert licences_in(TEXTS[name]) == (f"{name}-only" if name in current else name,)


@pytest.mark.parametrize("name", ["MIT", "BSD-3-Clause", "Apache-2.0", "ISC", "Zlib", "BSD-2-Clause", "Unlicense"])
def test_as_it_stands_in_projects(name: str) -> None:
    text = TEXTS[name].replace("[year]", "1999-2024").replace("[fullname]", "A. Person and others <a@example.org>")
    text = text.replace("the copyright holder", "A. Person")
    wrapped = "\n".join(f" *  {line}" for line in text.splitlines())
    assert licences_in(wrapped.upper()) == (name,)
    assert licences_in("The licence of the project.\n\n" + text + "\n\nThanks.\n") == (name,)


def test_several_licences_in_one_file() -> None:
    assert licences_in(TEXTS["Apache-2.0"] + TEXTS["BSD-3-Clause"] + TEXTS["MIT"]) == (
        "Apache-2.0", "BSD-3-Clause", "MIT",
    )  # fmt: skip
    assert licences_in(TEXTS["BSD-3-Clause"]) == ("BSD-3-Clause",)


@pytest.mark.parametrize(
    ("added", "name"),
    [
        ("The Software shall be used for Good, not Evil.", "JSON"),
        ('"Commons Clause" License Condition v1.0', "LicenseRef-Commons-Clause"),
        ("For non-commercial use only.", "LicenseRef-Non-Commercial"),
    ],
)
def test_a_permissive_text_with_a_restriction_is_not_permissive(added: str, name: str) -> None:
    found = licences_in(TEXTS["MIT"] + "\n" + added)
    assert name in found
    assert not is_permissive(" AND ".join(found), PERMISSIVE)


@pytest.mark.parametrize("text", ["", "All rights reserved.", "a licence to do as you please", GPL[:60]])
def test_no_licence(text: str) -> None:
    assert licences_in(text) == ()


@pytest.mark.parametrize(
    ("text", "licence"),
    [
        ("# SPDX-License-Identifier: MIT\nx = 1\n", "MIT"),
        ("// SPDX-License-Identifier: mit or apache-2.0\r\nint x;\r\n", "MIT OR Apache-2.0"),
        ("/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause */\n",
         "GPL-2.0-only WITH Linux-syscall-note OR BSD-3-Clause"),
        ("<!-- SPDX-License-Identifier: Apache-2.0 -->\n<html>", "Apache-2.0"),
        ("# SPDX-License-Identifier: MIT\n# SPDX-License-Identifier: ISC\n", "ISC AND MIT"),
        ("# SPDX-License-Identifier: LicenseRef-Ours\n", "LicenseRef-Ours"),
        ("/*\n * " + GPL.replace("\n", "\n * ") + "\n */\nint main;\n", "GPL-2.0-or-later"),
        ("# " + GPL.replace("General", "Lesser General").replace("2", "2.1").replace("\n", "\n# "),
         "LGPL-2.1-or-later"),
        ('// Licensed under the Apache License, Version 2.0 (the "License");\npackage x\n', "Apache-2.0"),
        ("package x;\n\n/* This Source Code Form is subject to the terms of the Mozilla\n * Public License, v. 2.0. */",
         "MPL-2.0"),
        ("# Released under the MIT license.\n", "MIT"),
        ("// Licensed under the Apache License, Version 2.0 <LICENSE-APACHE> or the MIT license\n// <LICENSE-MIT>, at "
         "your option.\n", "Apache-2.0 OR MIT"),
        ("# Author: A\n# License: BSD 3 clause\n", "BSD-3-Clause"),
        ("# Copyright Foo. All rights reserved. Proprietary and confidential.\n", "LicenseRef-Proprietary"),
        ("/*\n" + TEXTS["MIT"] + "\n*/\nint x;\n", "MIT"),
        ('"""Text.\n\n' + TEXTS["BSD-3-Clause"] + '"""\n', "BSD-3-Clause"),
    ],
)  # fmt: skip
def test_heads_of_files(text: str, licence: str) -> None:
    found, stated = licence_of_head(text)
    assert found == licence
    assert stated
    assert canonical(licence) == licence


def test_a_tag_that_cannot_be_read_is_stated_and_not_taken() -> None:
    assert licence_of_head("# SPDX-License-Identifier: See-the-file\n") == (
        None, "SPDX-License-Identifier: See-the-file",
    )  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "x = 1\n",
        "# Use of this source code is governed by a BSD-style license that is\n# in the LICENSE file.\n",
        "# This file is dual licensed under the terms of the Apache License, Version\n# 2.0, and the BSD License.\n",
        'A = 1\nB = 2\nC = 3\nD = 4\nE = 5\nTAG = """\n# SPDX-License-Identifier: GPL-3.0-only\n"""\n',
    ],
)
def test_heads_that_state_nothing(text: str) -> None:
    assert licence_of_head(text) == (None, "")


def test_only_comments_are_the_head() -> None:
    assert (
        header("#!/bin/sh\n# one\n\n/* two\nthree */\nx = 1\n# four\n")
        == "#!/bin/sh\n# one\n\n/* two\nthree */\n# four\n"
    )


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=400) | st.sampled_from(list(TEXTS.values())).flatmap(lambda text: st.just(text[:700])))
def test_any_text_is_answered(text: str) -> None:
    licence, stated = licence_of_head(text)
    assert licence is None or (stated and canonical(licence) is not None)
    assert all(canonical(name) is not None for name in (*licences_in(text), *notices(text)))


def test_texts_of_installed_packages_agree_with_their_metadata() -> None:
    """Where metadata names one common licence and there is one licence file, the text says the same."""
    compared = agreed = 0
    for distribution in importlib.metadata.distributions():
        stated = distribution.metadata.get("License-Expression")
        files = [file for file in distribution.files or [] if file.name.upper().startswith(("LICENSE", "COPYING"))]
        if stated not in ("MIT", "BSD-3-Clause", "Apache-2.0", "BSD-2-Clause", "ISC") or len(files) != 1:
            continue
        path = Path(str(distribution.locate_file(str(files[0]))))
        if path.is_file():
            compared += 1
            agreed += stated in licences_in(path.read_text("utf-8", "replace"))
    assert compared > 20
    assert agreed >= 0.97 * compared

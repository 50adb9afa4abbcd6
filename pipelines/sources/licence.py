"""The licence of an installed distribution as an SPDX expression, and whether it is a permissive one.

Looked for in this order, the first that can be read decides: License-Expression (PEP 639), a short License field, the
"License ::" classifiers, the text of the licence files. What cannot be read is None, never a guess; "BSD" without its
number of clauses is read from the licence's text, or else is `LicenseRef-BSD`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Any

# Blue Oak Council's permissive licences (model to bronze) that are in use, as The Stack v2 takes them, and old names.
PERMISSIVE = (
    "0BSD",
    "AFL-3.0",
    "Apache-2.0",
    "Artistic-2.0",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-2-Clause-Patent",
    "BSD-3-Clause",
    "BSD-3-Clause-Clear",
    "BSL-1.0",
    "BlueOak-1.0.0",
    "CC0-1.0",
    "CNRI-Python",
    "ECL-2.0",
    "HPND",
    "ISC",
    "LicenseRef-BSD",
    "MIT",
    "MIT-0",
    "MIT-CMU",
    "MS-PL",
    "MulanPSL-2.0",
    "NCSA",
    "PSF-2.0",
    "PostgreSQL",
    "Python-2.0",
    "TCL",
    "UPL-1.0",
    "Unicode-3.0",
    "Unicode-DFS-2016",
    "Unlicense",
    "W3C",
    "WTFPL",
    "X11",
    "Zlib",
    "curl",
)

_FIELDS = {
    "apache": "Apache-2.0",
    "apache 2": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache license": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache license version 2.0": "Apache-2.0",
    "apache 2.0 license": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "apache software license 2.0": "Apache-2.0",
    "apache-2": "Apache-2.0",
    "asl 2": "Apache-2.0",
    "bsd": "LicenseRef-BSD",
    "bsd license": "LicenseRef-BSD",
    "new bsd": "BSD-3-Clause",
    "new bsd license": "BSD-3-Clause",
    "modified bsd": "BSD-3-Clause",
    "modified bsd license": "BSD-3-Clause",
    "simplified bsd": "BSD-2-Clause",
    "3-clause bsd": "BSD-3-Clause",
    "3-clause bsd license": "BSD-3-Clause",
    "bsd 3-clause": "BSD-3-Clause",
    "bsd 3-clause license": "BSD-3-Clause",
    "bsd-3": "BSD-3-Clause",
    "bsd 3 clause": "BSD-3-Clause",
    "bsd 2 clause": "BSD-2-Clause",
    "2-clause bsd": "BSD-2-Clause",
    "bsd 2-clause": "BSD-2-Clause",
    "bsd-2": "BSD-2-Clause",
    "bsd 2-clause license": "BSD-2-Clause",
    "the bsd 2-clause license": "BSD-2-Clause",
    "the bsd 3-clause license": "BSD-3-Clause",
    "mit": "MIT",
    "mit license": "MIT",
    "the mit license": "MIT",
    "the mit license (mit)": "MIT",
    "expat": "MIT",
    "isc": "ISC",
    "isc license": "ISC",
    "isc license (iscl)": "ISC",
    "psf": "PSF-2.0",
    "psf license": "PSF-2.0",
    "python software foundation license": "PSF-2.0",
    "public domain": "LicenseRef-Public-Domain",
    "unlicense": "Unlicense",
    "the unlicense": "Unlicense",
    "zlib": "Zlib",
    "mpl 2.0": "MPL-2.0",
    "mozilla public license 2.0": "MPL-2.0",
    "lgpl": "LicenseRef-LGPL",
    "gpl": "LicenseRef-GPL",
    "gplv2": "LicenseRef-GPL",
    "gplv3": "LicenseRef-GPL",
    "gnu gplv3": "LicenseRef-GPL",
}
"""A License field in lower case -> SPDX identifier (only wordings that mean one thing)."""

_CLASSIFIERS = {
    "OSI Approved :: Apache Software License": "Apache-2.0",
    "OSI Approved :: BSD License": "LicenseRef-BSD",
    "OSI Approved :: Boost Software License 1.0 (BSL-1.0)": "BSL-1.0",
    "OSI Approved :: Historical Permission Notice and Disclaimer (HPND)": "HPND",
    "OSI Approved :: ISC License (ISCL)": "ISC",
    "OSI Approved :: MIT License": "MIT",
    "OSI Approved :: MIT No Attribution License (MIT-0)": "MIT-0",
    "OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "OSI Approved :: PostgreSQL License": "PostgreSQL",
    "OSI Approved :: Python Software Foundation License": "PSF-2.0",
    "OSI Approved :: The Unlicense (Unlicense)": "Unlicense",
    "OSI Approved :: University of Illinois/NCSA Open Source License": "NCSA",
    "OSI Approved :: Zero-Clause BSD (0BSD)": "0BSD",
    "OSI Approved :: zlib/libpng License": "Zlib",
    "OSI Approved :: GNU General Public License v2 (GPLv2)": "GPL-2.0-only",
    "OSI Approved :: GNU General Public License v2 or later (GPLv2+)": "GPL-2.0-or-later",
    "OSI Approved :: GNU General Public License v3 (GPLv3)": "GPL-3.0-only",
    "OSI Approved :: GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "OSI Approved :: GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "OSI Approved :: GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
    "OSI Approved :: GNU Library or Lesser General Public License (LGPL)": "LicenseRef-LGPL",
    "OSI Approved :: GNU Affero General Public License v3": "AGPL-3.0-only",
    "CC0 1.0 Universal (CC0 1.0) Public Domain Dedication": "CC0-1.0",
    "Public Domain": "LicenseRef-Public-Domain",
}
"""Trove classifier without "License :: " -> SPDX identifier."""

_ESCAPED = (AssertionError, IndexError)  # boolean.py lets them out ("()")
_LONGEST = 2000  # characters of an expression that is read


def licence_of(metadata: Mapping[str, Sequence[str]], texts: Sequence[str]) -> tuple[str | None, str]:
    """The SPDX expression of a distribution, and what was stated, for evidence.

    Args:
        metadata: the values of "License-Expression", "License" and "Classifier" (any may be missing).
        texts: contents of its licence files.

    Returns:
        (None, "...") where nothing stated can be read as a licence.
    """
    expression = " ".join(metadata.get("License-Expression", [])).strip()
    if expression:
        return canonical(expression), f"License-Expression: {expression}"
    stated = " ".join(metadata.get("License", [])).strip()
    found: str | None = None
    said = ""
    if stated and len(stated) <= 200 and "\n" not in stated:
        found = _FIELDS.get(stated.lower().rstrip(".")) or canonical(stated)
        said = f"License: {stated}"
    if found is None:
        classifiers = [value.removeprefix("License :: ") for value in metadata.get("Classifier", [])]
        classifiers = [value for value in classifiers if value in _CLASSIFIERS]
        # Several classifiers do not say whether all or any hold: all is the safe reading.
        found = " AND ".join(sorted({_CLASSIFIERS[value] for value in classifiers})) or None
        said = f"Classifier: {'; '.join(classifiers)}" if found else said
    if found is None or found == "LicenseRef-BSD":
        for text in (stated, *texts):
            read = of_text(text)
            if read is not None and (found is None or read.startswith("BSD-")):
                return read, said or "the licence file's text"
    return found, said or "nothing stated"


def of_text(text: str) -> str | None:
    """The licence that a text is, by phrases that no other licence has; None where it is none of the common ones."""
    words = " ".join(text.lower().split())
    if "apache license" in words and "version 2.0" in words and "grant of patent license" in words:
        return "Apache-2.0"
    if "redistribution and use in source and binary forms" in words:
        return (
            "BSD-3-Clause" if "neither the name" in words or "may not be used to endorse" in words else "BSD-2-Clause"
        )
    if "permission is hereby granted, free of charge, to any person obtaining a copy" in words:
        return "MIT" if "the above copyright notice and this permission notice shall be included" in words else "MIT-0"
    if "permission to use, copy, modify, and/or distribute this software for any purpose with or without fee" in words:
        return "ISC" if "provided that the above copyright notice" in words else "0BSD"
    return None


def is_permissive(expression: str | None, permissive: Collection[str]) -> bool:
    """Whether an SPDX expression can be met with licences of the list alone.

    AND needs both sides, OR one of them; WITH keeps the licence and adds a permission. None, and an expression that
    cannot be parsed, are not permissive.
    """
    tree = _parsed(expression)
    return tree is not None and _met(tree, {name.lower() for name in permissive})


def canonical(expression: str) -> str | None:
    """The expression in SPDX's own spelling; None where it is not one, or names a licence that SPDX does not list.

    `LicenseRef-...` names are kept; deprecated names become the current ones (GPL-2.0+ is GPL-2.0-or-later).
    """
    tree = _parsed(expression)
    if tree is None:
        return None
    for symbol in _spdx().unknown_license_keys(tree, unique=False):
        if not symbol.startswith(("LicenseRef-", "DocumentRef-")):
            return None
    return str(tree.render("{symbol.key}"))


@cache
def _spdx() -> Any:
    """SPDX's licences and exceptions (the library's own copy of the list)."""
    from license_expression import get_spdx_licensing

    return get_spdx_licensing()


def _parsed(expression: str | None) -> Any:
    """The expression as a tree, None where it is empty or cannot be parsed."""
    from license_expression import ExpressionError

    if not expression or len(expression) > _LONGEST:
        return None
    try:
        return _spdx().parse(expression)
    except (ExpressionError, *_ESCAPED):
        return None


def _met(tree: Any, allowed: Collection[str]) -> bool:
    """Whether a tree of AND, OR and licences holds when the allowed ones do."""
    if isinstance(tree, _spdx().AND):
        return all(_met(part, allowed) for part in tree.args)
    if isinstance(tree, _spdx().OR):
        return any(_met(part, allowed) for part in tree.args)
    licence = getattr(tree, "license_symbol", tree)  # the licence of "licence WITH exception"
    return str(licence.key).lower() in allowed

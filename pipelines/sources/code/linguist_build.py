r"""Make `linguist.json` from a checkout of github-linguist: its languages, disambiguation rules and vendored paths.

    python -m pipelines.sources.code.linguist_build CHECKOUT COMMIT

Ruby's regular expressions are rewritten in Python's: `^` and `$` are always multi-line there (the flag is set where
the table is read), `\z` is `\Z`, `\h` a hexadecimal digit, `(?m)` is `(?s)`, and flags are put in a group so that
alternatives can be joined. One that Python cannot compile stops the build.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml

_TYPES = ("programming", "markup", "data", "prose")


def table(checkout: Path, commit: str) -> dict[str, Any]:
    """The table of a checkout.

    Raises:
        re.error: a rule that Python cannot compile.
    """
    languages = _read(checkout, "languages")
    heuristics = _read(checkout, "heuristics")
    named = {name: _pattern(value) for name, value in heuristics["named_patterns"].items()}
    return {
        "source": "github-linguist/linguist",
        "commit": commit,
        "license": "MIT, Copyright (c) 2017 GitHub, Inc.",
        "languages": {name: fields["type"] for name, fields in languages.items() if fields["type"] in _TYPES},
        "aliases": {
            alias.lower(): name
            for name, fields in languages.items()
            for alias in (*fields.get("aliases", []), name.replace(" ", "-"), name)
        },
        "extensions": _names(languages, "extensions", lower=True),
        "filenames": _names(languages, "filenames"),
        "interpreters": _names(languages, "interpreters"),
        "generic": _read(checkout, "generic")["extensions"],
        "popular": _read(checkout, "popular"),
        "rules": [
            {
                "extensions": entry["extensions"],
                "rules": [
                    {"languages": _listed(rule["language"]), "all": _tests(rule, named)} for rule in entry["rules"]
                ],
            }
            for entry in heuristics["disambiguations"]
        ],
        "vendored": _paths(_read(checkout, "vendor")),
        "documentation": _paths(_read(checkout, "documentation")),
    }


def main() -> None:
    """Write the table beside this file and print the digest that `linguist.py` expects."""
    checkout, commit = Path(sys.argv[1]), sys.argv[2]
    data = (json.dumps(table(checkout, commit), ensure_ascii=False, indent=0, sort_keys=True) + "\n").encode()
    Path(__file__).with_name("linguist.json").write_bytes(data)
    print(f"{len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}")


def _read(checkout: Path, name: str) -> Any:
    return yaml.safe_load((checkout / "lib" / "linguist" / f"{name}.yml").read_text("utf-8"))


def _listed(value: str | list[str]) -> list[str]:
    return value if isinstance(value, list) else [value]


def _names(languages: dict[str, Any], field: str, lower: bool = False) -> dict[str, list[str]]:
    """Extension, file name or interpreter -> languages; those that name it first come first."""
    found: dict[str, list[tuple[int, str]]] = {}
    for language, fields in languages.items():
        for rank, name in enumerate(fields.get(field, [])):
            found.setdefault(name.lower() if lower else name, []).append((min(rank, 1), language))
    return {name: list(dict.fromkeys(language for _, language in sorted(ranked))) for name, ranked in found.items()}


def _tests(rule: dict[str, Any], named: dict[str, str]) -> list[list[Any]]:
    """What must hold for a rule: (pattern, whether it must match). Linguist looks at the first kind of test only."""
    if "and" in rule:
        return [test for part in rule["and"] for test in _tests(part, named)]
    if "pattern" in rule:
        return [[_pattern(rule["pattern"]), True]]
    if "negative_pattern" in rule:
        return [[_pattern(rule["negative_pattern"]), False]]
    if "named_pattern" in rule:
        return [[named[rule["named_pattern"]], True]]
    return []


def _pattern(value: str | list[str]) -> str:
    return _join([_python(one) for one in _listed(value)])


def _join(patterns: list[str]) -> str:
    joined = "|".join(f"(?:{pattern})" for pattern in patterns) if len(patterns) > 1 else patterns[0]
    re.compile(joined, re.MULTILINE | re.ASCII)
    return joined


def _paths(patterns: list[str]) -> str:
    """Patterns over paths as one, in which those that begin at a name are tried only there (9 for 1,400 us a path)."""
    at_name: list[str] = []
    at_start: list[str] = []
    anywhere: list[str] = []
    for pattern in map(_python, patterns):
        free = re.sub(r"^\((?:\.\*\?|\[\^\\s\]\*)\)", "", pattern)  # "anything" at the front says nothing
        name = re.match(r"\(\^\|\\?/\)", free)
        if name:
            at_name.append(free[name.end() :])
        elif free.startswith("^"):
            at_start.append(free[1:])
        else:
            anywhere.append(free)
    joined = [_join(anywhere)] if anywhere else []
    joined += [f"(?:^|/)(?:{_join(at_name)})"] if at_name else []
    joined += [f"^(?:{_join(at_start)})"] if at_start else []
    return _join(joined)


def _python(pattern: str) -> str:
    """A Ruby pattern in Python's syntax, as far as Linguist uses it."""
    text = pattern.replace(r"\z", r"\Z").replace(r"\h", "[0-9A-Fa-f]").replace("(?-m)", "")
    text = text.replace(r"[\s&&[^\r\n]]", r"[^\S\r\n]")  # Python has no intersection of classes
    for name in re.findall(r"\\g<(\w+)>", text):  # a group used again
        text = text.replace(rf"\g<{name}>", f"(?:{_group(text, name)})")
    text = re.sub(r"\(\?<[A-Za-z_]\w*>", "(?:", text)
    text = re.sub(r"\(\?([a-z]*)m([a-z]*)([:)])", r"(?\1s\2\3", text)
    flags = re.search(r"(?<!\\)\(\?([a-z]+)\)", text)
    if flags:  # they hold to the end of the group that they stand in, which is the pattern's in Linguist
        end = "\n)" if "x" in flags[1] else ")"
        text = f"{text[: flags.start()]}(?{flags[1]}:{text[flags.end() :]}{end}"
    re.compile(text, re.MULTILINE | re.ASCII)
    return text


def _group(text: str, name: str) -> str:
    """What stands in a named group."""
    start = text.index(f"(?<{name}>") + len(f"(?<{name}>")
    depth = 1
    for found in re.finditer(r"\\.|\[(?:\\.|[^\]])*\]|[()]", text[start:]):
        depth += {"(": 1, ")": -1}.get(found.group(), 0)
        if not depth:
            return text[start : start + found.start()]
    raise ValueError(f"the group {name} is not closed in {text!r}")


if __name__ == "__main__":
    main()

r"""LaTeX before it is read: without comments and disabled stretches, and with code that is shown as it is set aside."""

from __future__ import annotations

import re

HARD, PARAGRAPH, HELD = "\1", "\2", "\3"
"""Marks in a text under way: a line's end and a paragraph's end that stay, and around a number a piece set aside."""

_VERBATIM = ("verbatim", "verbatim*", "Verbatim", "lstlisting", "minted", "alltt")
_BEGIN_VERBATIM = re.compile(r"\\begin\{(" + "|".join(map(re.escape, _VERBATIM)) + r")\}")
_COMMENT = re.compile(r"(?<!\\)((?:\\\\)*)%.*")


def without_false(text: str) -> str:
    r"""The source without what stands between `\iffalse` and `\fi`."""
    kept: list[str] = []
    at = 0
    while (begin := text.find("\\iffalse", at)) >= 0 and (end := text.find("\\fi", begin + 8)) >= 0:
        kept.append(text[at:begin])
        at = end + 3
    return "".join([*kept, text[at:]])


def without_comments(text: str, held: list[str]) -> str:
    """The source without comments; code that is shown as it is goes to `held`, fenced."""
    kept: list[str] = []
    code: list[str] | None = None
    end = ""
    for line in text.split("\n"):
        if code is not None:
            before, closed, after = line.partition(end)
            code.append(before)
            if closed:
                held.append("```\n" + "\n".join(code).strip("\n") + "\n```")
                kept.append(f"\n{PARAGRAPH}{HELD}{len(held) - 1}{HELD}{PARAGRAPH}\n{after}\n")
                code = None
            continue
        plain = _COMMENT.sub(r"\1", line)
        begin = _BEGIN_VERBATIM.search(plain)
        if begin is not None:
            kept.append(plain[: begin.start()])
            end = f"\\end{{{begin[1]}}}"
            rest = line[begin.end() :]
            if end in rest:
                shown, _, after = rest.partition(end)
                held.append(f"```\n{shown.strip()}\n```")
                kept.append(f"{PARAGRAPH}{HELD}{len(held) - 1}{HELD}{PARAGRAPH}{_COMMENT.sub('', after)}\n")
            else:
                options = re.match(r"(?:\[[^\]]*\])?(?:\{[^}]*\})?", rest)
                first = rest[options.end() :] if options else rest
                code = [first] if first.strip() else []
        elif plain != line:
            # A comment takes its line's end with it; a line that is only a comment is no empty line.
            kept.append(plain if plain.strip() else "")
        else:
            kept.append(f"{line}\n")
    if code is not None:  # never closed: shown as far as it goes
        held.append("```\n" + "\n".join(code).strip("\n") + "\n```")
        kept.append(f"{PARAGRAPH}{HELD}{len(held) - 1}{HELD}")
    return "".join(kept)

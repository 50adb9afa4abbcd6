"""Mathematics in TeX from installed packages: docstrings, read without importing anything, and documentation files."""

from __future__ import annotations

import ast
import inspect
import json
import re
import warnings
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import Field

from pipelines.sources.distribution import Installed, installed, installed_one
from pipelines.sources.licence import PERMISSIVE, is_permissive
from pipelines.sources.record import Failure, Outcome, Record, Refusal, Unit
from pipelines.sources.source import SourceFields

_DOCUMENTS = {".rst": "text/x-rst", ".md": "text/markdown", ".txt": "text/plain", ".ipynb": "text/markdown"}
_TEX = re.compile(
    r":math:`"  # Sphinx role
    r"|^[ \t]*\.\. math::"  # Sphinx directive
    r"|\\\([^\n]{1,500}?\\\)|\\\["  # \( ... \), \[
    r"|\\begin\{(?:equation|align|gather|multline|cases|[bpvBV]?matrix|array|eqnarray|split)\*?\}"
    r"|\$\$?[^$\n]*\\[A-Za-z]{2,}[^$\n]*\$",  # $ ... \command ... $
    re.MULTILINE,
)
# What a source file must hold somewhere for a docstring with TeX to be in it: spares parsing the rest.
_MAYBE = re.compile(rb":math:`|\.\. math::|\\\\?[(\[]|\\\\?begin\{|\$[^$\n]*\\")
_DOCUMENTING = frozenset({"add_newdoc", "add_docstr", "add_newdoc_ufunc", "ufunc_doc"})
_Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


class Docstrings(SourceFields):
    """Docstrings and documents with TeX in installed distributions, one unit a distribution.

    A record is a docstring of a module, class or function, or a .rst, .md, .txt or .ipynb file, if it holds TeX:
    a `:math:` role, a `math` directive, an environment, or a command between dollar signs. Others are no records.
    """

    type: Literal["docstrings"] = "docstrings"
    packages: Annotated[tuple[str, ...], Field(description="Only these distributions; empty: all installed.")] = ()
    exclude: Annotated[tuple[str, ...], Field(description="Not these distributions.")] = ("pomona",)
    permissive: Annotated[tuple[str, ...], Field(description="SPDX licences that are taken.")] = PERMISSIVE
    max_file_bytes: Annotated[int, Field(ge=1, description="A larger file is dropped.")] = 5_000_000

    def units(self) -> list[Unit]:
        """One unit a distribution that has sources or documents, by name.

        Raises:
            FileNotFoundError: one of `packages` is not installed.
        """
        found = [(package, _readable(package)) for package in installed(self.packages, self.exclude)]
        return [package.unit(files) for package, files in found if files]

    def read(self, unit: Unit) -> Iterator[Outcome]:
        """The records of one distribution, by path and then by line."""
        package = installed_one(unit.payload)
        licence, stated = package.licence
        permitted = is_permissive(licence, self.permissive)
        for file in _readable(package):
            facts: dict[str, Any] = {"package": package.name, "version": package.version, "path": str(file)}
            uri = f"pypi://{package.name}/{_module_of(file) if file.suffix == '.py' else file}"
            try:
                content = package.path(file).read_bytes()
            except OSError as error:
                yield Failure(uri, b"", "unreadable-file", {**facts, "detail": error.strerror})
                continue
            if file.suffix == ".py" and _MAYBE.search(content) is None:
                continue
            if len(content) > self.max_file_bytes:
                yield Refusal(uri, content, "huge-file", {**facts, "bytes": len(content), "limit": self.max_file_bytes})
                continue
            try:
                texts = tex_docstrings(content) if file.suffix == ".py" else _document(file, content)
            except (SyntaxError, ValueError, RecursionError) as error:
                yield Failure(uri, content, "unparsable-file", {**facts, "detail": str(error)[:300]})
                continue
            kind = "text/x-rst" if file.suffix == ".py" else _DOCUMENTS[file.suffix]
            for name, text in texts:
                address = f"{uri}#{name}" if name else uri
                data = text.encode("utf-8", "replace")
                if permitted:
                    metadata = {**facts, "object": name, "license_stated": stated}
                    yield Record(address, data, text, kind, "math", licence, metadata=metadata)
                else:
                    evidence = {**facts, "license": licence, "stated": stated}
                    yield Refusal(address, data, "licence-not-permissive", evidence)


def has_tex(text: str) -> bool:
    """Whether a text holds mathematics written in TeX."""
    return _TEX.search(text) is not None


def tex_docstrings(source: bytes) -> list[tuple[str, str]]:
    """The docstrings with TeX of a module, by line: qualified name ("" for the module's own) and text.

    The indentation is cleaned as `inspect.cleandoc` does.

    A name that is defined again in the module gets "~2", "~3" ... so that addresses stay unique.

    Raises:
        SyntaxError, ValueError, RecursionError: Python's parser does not take the source.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "invalid escape sequence" is common around TeX, and none of our business
        tree = ast.parse(source)
    found: list[tuple[str, str]] = []
    seen: dict[str, int] = {}

    def add(name: str, text: str | None) -> None:
        if text is not None and has_tex(text):
            seen[name] = seen.get(name, 0) + 1
            found.append((f"{name}~{seen[name]}" if seen[name] > 1 else name, inspect.cleandoc(text)))

    def visit(node: ast.AST, name: str) -> None:
        if isinstance(node, _Documented):
            add(name, ast.get_docstring(node, clean=False))
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                visit(child, f"{name}.{child.name}" if name else child.name)
            elif isinstance(child, ast.Assign | ast.Expr):
                if not name:
                    for object_name, text in _detached(child):
                        add(object_name, text)
            elif isinstance(child, ast.stmt | ast.ExceptHandler):
                visit(child, name)

    visit(tree, "")
    return found


def _detached(statement: ast.Assign | ast.Expr) -> list[tuple[str, str]]:
    """Documentation of a compiled object, written apart from it at a module's level.

    An assigned string (`airy = ...` in mpmath's function_docs) or a call (`add_newdoc("airy", ...)` in SciPy).
    """
    if isinstance(statement, ast.Assign):
        target, value = statement.targets[0], statement.value
        if isinstance(target, ast.Name) and isinstance(value, ast.Constant) and isinstance(value.value, str):
            return [(target.id, value.value)]
        return []
    call = statement.value
    if not isinstance(call, ast.Call):
        return []
    function = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if function.lstrip("_") not in _DOCUMENTING:
        return []
    strings: list[str] = []
    for argument in call.args:
        for part in argument.elts if isinstance(argument, ast.Tuple) else [argument]:
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                strings.append(part.value)
    return [(".".join(strings[:-1]), strings[-1])] if strings else []


def _document(file: PurePosixPath, content: bytes) -> list[tuple[str, str]]:
    text = _notebook(content) if file.suffix == ".ipynb" else content.decode("utf-8")
    return [("", text.strip())] if has_tex(text) else []


def _notebook(content: bytes) -> str:
    """The Markdown cells of a Jupyter notebook, and its code cells fenced."""
    notebook = json.loads(content)
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list):
        raise ValueError("expected a notebook with a list of cells")
    parts: list[str] = []
    for cell in cells:
        if not isinstance(cell, dict):
            raise ValueError(f"expected a cell, found {type(cell).__name__}")
        source = cell.get("source", "")
        text = "".join(source) if isinstance(source, list) else str(source)
        if text.strip():
            parts.append(text if cell.get("cell_type") == "markdown" else f"```python\n{text}\n```")
    return "\n\n".join(parts)


def _readable(package: Installed) -> list[PurePosixPath]:
    """Sources and documents; a distribution's own metadata (licences, README copies) is not documentation."""
    return [
        file
        for file in package.files
        if (file.suffix == ".py" or file.suffix in _DOCUMENTS)
        and not any(part.endswith((".dist-info", ".egg-info", ".data")) for part in file.parts)
    ]


def _module_of(file: PurePosixPath) -> str:
    parts = list(file.with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)

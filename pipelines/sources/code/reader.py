"""Files of a tree to outcomes: what is refused for its name is not read, what is kept has a language and a licence."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from pipelines.extract.extraction import ExtractionError
from pipelines.extract.text import read_text
from pipelines.sources.code.attributes import AttributeFiles, Attributes
from pipelines.sources.code.language import Language, identify, named
from pipelines.sources.code.place import Part
from pipelines.sources.code.scope import Scopes, Stated, is_licence_file
from pipelines.sources.code.secrets import Redactor
from pipelines.sources.code.traits import REASONS, Found, of_path, of_text, stated
from pipelines.sources.code.tree import Node, Parts, Tree, UnreadableError, quoted, walk
from pipelines.sources.files import shown_name
from pipelines.sources.licence import is_permissive
from pipelines.sources.licence_text import licence_of_head
from pipelines.sources.record import Failure, Outcome, Record, Refusal

_BATCH_CHARACTERS = 4 << 20
_BATCH_FILES = 512
_BINARY_HEAD = 8000  # git looks for a NUL in as many bytes (xdiff-interface.c)
_TEXT_MARKS = (b"\xff\xfe", b"\xfe\xff")
_LFS = b"version https://git-lfs.github.com/spec/"
_KINDS = {"link": "symbolic-link", "submodule": "submodule", "special": "special-file"}


@dataclass(frozen=True)
class Reader:
    """Reads parts of trees.

    Attributes:
        permissive: SPDX licences that are taken.
        languages: Linguist's names of those that are taken; empty: all.
        drop: traits that drop a file.
        redactor: what replaces secrets.
        max_file_bytes: a larger file is dropped.
    """

    permissive: Collection[str]
    languages: Collection[str]
    drop: Collection[str]
    redactor: Redactor
    max_file_bytes: int

    def read(self, part: Part, tree: Tree) -> Iterator[Outcome]:
        """The outcomes of a part of a tree, in its order; secrets are looked for in many files at a time."""
        waiting: list[Outcome | _Kept] = []
        size = 0
        for outcome in self._outcomes(part, tree):
            waiting.append(outcome)
            size += len(outcome.text) if isinstance(outcome, _Kept) else 0
            if size >= _BATCH_CHARACTERS or len(waiting) >= _BATCH_FILES:
                yield from self._redacted(waiting)
                waiting, size = [], 0
        yield from self._redacted(waiting)

    def _redacted(self, outcomes: list[Outcome | _Kept]) -> Iterator[Outcome]:
        kept = [outcome for outcome in outcomes if isinstance(outcome, _Kept)]
        clean = iter(self.redactor.redact([one.text for one in kept]))
        for outcome in outcomes:
            if not isinstance(outcome, _Kept):
                yield outcome
                continue
            found = next(clean)
            secrets = {"secrets": found.counts} if found.counts else {}
            yield Record(
                uri=outcome.uri,
                content=outcome.content,
                body=found.text,
                content_type="text/plain",  # decoded here: a line that declares another encoding counts no more
                kind="code",
                license=outcome.licence,
                metadata={**outcome.metadata, **secrets},
            )

    def _outcomes(self, part: Part, tree: Tree) -> Iterator[Outcome | _Kept]:
        facts = part.place.facts()
        if not part.start:
            for number, fault in enumerate(tree.faults, 1):
                address = f"{part.place.address}#{quoted(fault.name, '/')}{f'~{number}' if number > 1 else ''}"
                yield Failure(address, b"", fault.reason, {**facts, "detail": shown_name(fault.detail)})
        scopes = Scopes(tree, part.place.license)
        attributes = AttributeFiles(tree)
        top: Parts | None = None
        for folder in walk(tree, part.start, part.end):
            if folder.children is None:
                why = folder.why
                if why is not None:
                    yield Failure(self._uri(part, folder.parts), b"", why.reason, {**facts, "detail": str(why)})
                continue
            if not folder.parts and part.place.kind == "archive":
                top = _single(folder.children)
            scope = scopes.enter(folder.parts, folder.children)
            attributes.enter(folder.parts, folder.children)
            for parts, _, node in folder.files(part.start, part.end):
                yield self._outcome(part, tree, parts, node, scope, top, attributes.of(parts))
        if part.cut:
            yield Failure(
                f"{part.place.address}#rest", b"", "too-many-files", {**facts, "detail": "the rest is not read"}
            )

    def _uri(self, part: Part, parts: Parts) -> str:
        return f"{part.place.address}/{quoted('/'.join(parts), '/~@+,=!$()')}"

    def _outcome(
        self,
        part: Part,
        tree: Tree,
        parts: Parts,
        node: Node,
        scope: Stated,
        top: Parts | None,
        attributes: Attributes,
    ) -> Outcome | _Kept:
        uri = self._uri(part, parts)
        path = shown_name("/".join(parts))
        facts: dict[str, Any] = {**part.place.facts(), "path": path}
        if node.kind != "file":
            return Refusal(uri, b"", _KINDS[node.kind], {**facts, "target": shown_name(node.detail[:300])})
        if node.size > self.max_file_bytes:
            return Refusal(uri, b"", "huge-file", {**facts, "bytes": node.size, "limit": self.max_file_bytes})
        # An archive of a repository holds one folder; its lists of paths begin inside that.
        inner = shown_name("/".join(parts[1:])) if top is not None and len(parts) > 1 else path
        traits = stated(of_path(inner), attributes.traits)
        if is_licence_file(node.name):
            traits.append(Found("licence", {"path": path}))
        refused = self._refused(uri, b"", facts, traits)
        if refused is not None:
            return refused
        try:
            content = tree.read(node, self.max_file_bytes)
        except UnreadableError as error:
            return Failure(uri, b"", error.reason, {**facts, "detail": str(error)})
        return self._of_content(uri, facts, inner, content, traits, scope, attributes)

    def _of_content(
        self,
        uri: str,
        facts: dict[str, Any],
        path: str,
        content: bytes,
        traits: list[Found],
        scope: Stated,
        attributes: Attributes,
    ) -> Outcome | _Kept:
        if len(content) > self.max_file_bytes:
            return Refusal(uri, content[:4096], "huge-file", {**facts, "bytes": "more", "limit": self.max_file_bytes})
        if not content.strip():
            return Refusal(uri, content, "empty-file", {**facts, "bytes": len(content)})
        if content.startswith(_LFS):
            return Refusal(uri, content, "lfs-pointer", facts)
        if b"\0" in content[:_BINARY_HEAD] and not content.startswith(_TEXT_MARKS):
            return Refusal(uri, content, "binary-file", {**facts, "bytes": len(content)})
        try:
            text = read_text(content, "text/x-python" if path.endswith((".py", ".pyw", ".pyi")) else "text/plain").text
        except ExtractionError as error:
            return Failure(uri, content, error.reason, {**facts, "detail": str(error)})
        language = (named(attributes.language) if attributes.language else None) or identify(path, text)
        if language is None:
            return Refusal(uri, content, "unknown-language", facts)
        facts = {**facts, "language": language.name}
        if self.languages and language.name not in self.languages:
            return Refusal(uri, content, "language-not-wanted", facts)
        traits = stated([*traits, *of_text(path, text, language)], attributes.traits)
        refused = self._refused(uri, content, facts, traits)
        if refused is not None:
            return refused
        return self._licensed(uri, facts, text, content, traits, scope, language)

    def _refused(self, uri: str, content: bytes, facts: dict[str, Any], traits: list[Found]) -> Refusal | None:
        for found in traits:
            if found.trait in self.drop:
                return Refusal(uri, content, REASONS[found.trait], {**facts, **found.evidence})
        return None

    def _licensed(
        self,
        uri: str,
        facts: dict[str, Any],
        text: str,
        content: bytes,
        traits: list[Found],
        scope: Stated,
        language: Language,
    ) -> Outcome | _Kept:
        licence, said = licence_of_head(text)
        if not said:
            licence, said = scope.licence, scope.stated
            where = {"license_file": shown_name(scope.path)} if scope.path else {}
        else:
            where = {}
        facts |= {"license_stated": said, **where}
        if not is_permissive(licence, self.permissive):
            return Refusal(uri, content, "licence-not-permissive", {**facts, "license": licence})
        names = sorted({found.trait for found in traits})
        metadata = {**facts, "language_type": language.type, **({"traits": names} if names else {})}
        return _Kept(uri, content, text, licence, metadata)


@dataclass(frozen=True, slots=True)
class _Kept:
    """A file that is kept, before secrets are looked for."""

    uri: str
    content: bytes
    text: str
    licence: str | None
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])


def _single(children: list[Node]) -> Parts | None:
    """The one folder that a tree is, beside nothing else or a file that tar or npm put there; None for others."""
    folders = [node.name for node in children if node.kind == "folder"]
    others = [node.name for node in children if node.kind != "folder"]
    return (folders[0],) if len(folders) == 1 and all(name == "pax_global_header" for name in others) else None

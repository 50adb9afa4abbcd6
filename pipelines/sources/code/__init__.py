"""Source code: folders, git repositories and archives, with the language and the licence of each file."""

from __future__ import annotations

from pipelines.sources.code.source import CodeSource, GitRepository

__all__ = ["CodeSource", "GitRepository"]

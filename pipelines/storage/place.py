"""Where a file is: a plain path on this machine, or the path of a URL on a store that fsspec knows."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path, PurePath
from typing import Any, cast

from pipelines.storage.errors import StorageError

_URL = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*)://")
_BROKEN = re.compile(r"(s3|gs|gcs|az|abfs|memory|https?|file):/[^/]")
_NEEDED = {
    "s3": ("s3fs", "s3"),
    "s3a": ("s3fs", "s3"),
    "gs": ("gcsfs", ""),
    "gcs": ("gcsfs", ""),
    "http": ("aiohttp", "s3"),
    "https": ("aiohttp", "s3"),
}
"""Scheme -> (package that reads it, Pomona's extra that brings it)."""
_SECRET = re.compile(r"(?i)([?&][^=&]*(?:signature|token|key|secret|credential|password|sig)[^=&]*)=[^&\s]*")
_USER = re.compile(r"://[^/@\s]+@")


def at(place: str | Path) -> Path:
    """Return the path that a text names: on this machine, or at any URL that fsspec knows.

    A remote path has `/`, `name`, `parent`, `suffix` and `with_name` as a local one; reading and writing it goes
    through this package. Raises StorageError for a scheme that is unknown here or whose package is not installed.
    """
    if not isinstance(place, str):
        if not is_remote(place) and _BROKEN.match(str(place)):
            raise StorageError(f"{place}: a URL that was read as a path on this machine; give it as text")
        return place
    found = _URL.match(place)
    if found is None:
        if _BROKEN.match(place):
            raise StorageError(f"{place}: expected two slashes after the scheme, as in s3://bucket/folder")
        return Path(place)
    scheme = found.group(1).lower()
    if scheme in ("file", "local"):
        return Path(place[found.end() :])
    package, extra = _NEEDED.get(scheme, ("fsspec", "s3"))
    for name in ("upath", package):
        if importlib.util.find_spec(name) is None:
            how = f"pip install -c constraints.txt '.[{extra}]'" if extra else f"pip install {package}"
            raise StorageError(f"{shown(place)}: {scheme}:// needs the package {name}; install it with  {how}")
    from upath import UPath  # imports fsspec: only where a URL is named

    try:
        path: Any = UPath(place if scheme in ("http", "https") else place.rstrip("/"))
    except ValueError as error:
        raise StorageError(f"{shown(place)}: {error}; known here: s3://, http(s)://, a path") from error
    return cast(Path, path)


def is_remote(path: Path) -> bool:
    """Whether a path of `at` lies on a store, not on this machine."""
    return not isinstance(cast(Any, path), PurePath)


def shown(text: object) -> str:
    """Return an address, or a message that holds one, without passwords, signatures and tokens."""
    return _USER.sub("://", _SECRET.sub(r"\1=…", str(text)))

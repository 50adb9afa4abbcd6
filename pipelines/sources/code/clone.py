"""Remote repositories: one commit fetched over https into a bare repository on this machine, within limits.

Only https, only public addresses (unless the recipe allows others), each redirect checked anew at the socket; bytes and
time are bounded; no history is fetched. What was fetched stays, so that a commit is fetched once.
"""

from __future__ import annotations

import re
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pipelines.sources.code.extra import extra

_COMMIT = re.compile(r"[0-9a-f]{40}")
_FOLDER = re.compile(r"[^A-Za-z0-9._-]")


class CloneError(Exception):
    """A repository could not be fetched; the message says why and what to do."""


def fetched(
    url: str, revision: str, clones: Path, max_bytes: int, timeout: float, allow_private: bool
) -> tuple[Path, str]:
    """Fetch one commit of a remote repository; what is already there is not fetched again.

    Args:
        url: its https address.
        revision: "HEAD", a branch, a tag, or a whole commit name (40 hex digits), which needs no look at the remote
            once it is there.
        clones: folder on this machine for what is fetched.
        max_bytes: bytes of the pack at most.
        timeout: seconds that the whole may take, and that a silent connection is waited for.
        allow_private: let private and loopback addresses pass.

    Returns:
        The bare repository and the commit's name.

    Raises:
        MissingExtra: dulwich is not installed.
        CloneError: see there.
    """
    parts = urlsplit(url)
    name = _FOLDER.sub("_", f"{parts.netloc}{parts.path}".removesuffix(".git"))
    path = clones / f"{name}.git"
    repo = extra("dulwich.repo", "dulwich")
    if (path / "HEAD").exists():
        repository = repo.Repo(str(path))
    else:
        path.mkdir(parents=True, exist_ok=True)
        repository = repo.Repo.init_bare(str(path))
    try:
        if _COMMIT.fullmatch(revision) and revision.encode() in repository.object_store:
            return path, revision
        return path, _fetch(repository, url, revision, max_bytes, timeout, allow_private)
    finally:
        repository.close()


def _fetch(repository: Any, url: str, revision: str, max_bytes: int, timeout: float, allow_private: bool) -> str:
    client_module = extra("dulwich.client", "dulwich")
    errors = extra("dulwich.errors", "dulwich")
    import urllib3

    parts = urlsplit(url)
    client = client_module.Urllib3HttpGitClient(
        f"https://{parts.netloc}", pool_manager=_pool(timeout, allow_private), quiet=True
    )
    wanted: list[bytes] = []

    def wants(refs: dict[bytes, bytes], depth: int | None = None) -> list[bytes]:
        commit = _wanted(refs, revision, url)
        wanted.append(commit)
        return [] if commit in repository.object_store else [commit]

    with tempfile.TemporaryFile(dir=repository.object_store.path, prefix="incoming-") as file:
        write = bounded(file.write, max_bytes, time.monotonic() + timeout, url)
        try:
            result = client.fetch_pack(parts.path, wants, repository.get_graph_walker(), write, depth=1)
            if file.tell():
                file.seek(0)
                repository.object_store.add_thin_pack(file.read, None)
        except (errors.GitProtocolError, errors.NotGitRepository, urllib3.exceptions.HTTPError, OSError) as error:
            raise CloneError(f"{url}: {_said(error.__cause__ or error)}; check the address, or leave it out") from error
        except (errors.FileFormatException, errors.ChecksumMismatch, zlib.error, AssertionError, ValueError) as error:
            raise CloneError(f"{url}: what it sent is damaged ({error!r:.200}); try again, or leave it out") from error
    repository.update_shallow(result.new_shallow, result.new_unshallow)
    return _peeled(repository, wanted[0], url)


def _said(error: BaseException) -> str:
    text = str(error) or type(error).__name__
    return "no git repository there" if type(error).__name__ == "NotGitRepository" else text[:300]


def _wanted(refs: dict[bytes, bytes], revision: str, url: str) -> bytes:
    if _COMMIT.fullmatch(revision):
        return revision.encode()
    name = revision.encode()
    for full in (name, b"refs/tags/" + name, b"refs/heads/" + name):
        if refs.get(full) is not None:
            return refs[full]
    known = sorted(ref.decode("utf-8", "replace").rpartition("/")[2] for ref in refs if ref.startswith(b"refs/heads/"))
    raise CloneError(f"{url}: no branch or tag is called {revision!r}; its branches: {', '.join(known[:10]) or 'none'}")


def _peeled(repository: Any, name: bytes, url: str) -> str:
    """The commit that a name leads to; an annotated tag is an object of its own."""
    found = repository.object_store[name]
    while found.type_name == b"tag":
        found = repository.object_store[found.object[1]]
    if found.type_name != b"commit":
        raise CloneError(f"{url}: {name.decode()} is a {found.type_name.decode()}, expected a commit")
    return found.id.decode()


def bounded(write: Callable[[bytes], Any], max_bytes: int, until: float, url: str) -> Callable[[bytes], None]:
    """`write` with an end: more than `max_bytes` in all, or later than `until` (monotonic seconds), is a CloneError."""
    written = 0

    def counted(data: bytes) -> None:
        nonlocal written
        written += len(data)
        if written > max_bytes:
            raise CloneError(f"{url}: more than {max_bytes} bytes; set clone_max_bytes higher, or leave it out")
        if time.monotonic() > until:
            raise CloneError(f"{url}: not fetched in time; set clone_timeout higher, or leave it out")
        write(data)

    return counted


def _pool(timeout: float, allow_private: bool) -> Any:
    """urllib3's connections, https only, each checked where its socket leads."""
    import urllib3
    from urllib3.connection import HTTPSConnection
    from urllib3.connectionpool import HTTPSConnectionPool
    from urllib3.exceptions import LocationValueError, NewConnectionError

    from pipelines.crawl.connect import is_public  # here, as what it imports is for those that connect

    class Connection(HTTPSConnection):
        def _new_conn(self) -> Any:
            socket = super()._new_conn()
            address = str(socket.getpeername()[0])
            if not allow_private and not is_public(address):
                socket.close()
                raise NewConnectionError(self, f"leads to {address}, which is no public address; allow_private lets it")
            return socket

    class ConnectionPool(HTTPSConnectionPool):
        ConnectionCls = Connection  # type: ignore[assignment]

    class Pool(urllib3.PoolManager):
        def urlopen(self, method: str, url: str, redirect: bool = True, **options: Any) -> Any:  # type: ignore[override]
            if not url.lower().startswith("https://"):
                raise LocationValueError(f"redirected to {url[:200]}, which is not https")
            return super().urlopen(method, url, redirect, **options)

    limits = urllib3.Timeout(connect=min(timeout, 30.0), read=min(timeout, 120.0))
    retries = urllib3.Retry(total=2, redirect=5, backoff_factor=0.5)
    pool: Any = Pool(timeout=limits, retries=retries, headers={"User-Agent": "git/pomona"})
    pool.pool_classes_by_scheme = {"https": ConnectionPool}
    return pool

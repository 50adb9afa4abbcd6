"""Members of tar files whose headers have bounds: tarfile would read any length, and follow any number of them."""

from __future__ import annotations

import tarfile
from typing import Any

_MOST_BYTES = 1 << 20
"""Bytes of a header that is as long as it likes (a long name, pax records)."""
_MOST_HEADERS = 16
"""Such headers before one member: tarfile calls itself for each."""
_EXTENDED = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)


class BoundedMember(tarfile.TarInfo):
    """A member for `tarfile.open(..., tarinfo=BoundedMember)`; a header beyond the bounds is a ReadError."""

    def _proc_member(self, tarfile: tarfile.TarFile) -> tarfile.TarInfo:  # type: ignore[override]
        archive: Any = tarfile
        if self.type not in _EXTENDED:
            return super()._proc_member(archive)  # type: ignore[misc,no-any-return]
        if self.size > _MOST_BYTES:
            raise _error(f"a header of {self.size} bytes")
        depth = getattr(archive, "headers_before_a_member", 0)
        if depth >= _MOST_HEADERS:
            raise _error(f"more than {_MOST_HEADERS} headers before one member")
        archive.headers_before_a_member = depth + 1
        try:
            return super()._proc_member(archive)  # type: ignore[misc,no-any-return]
        finally:
            archive.headers_before_a_member = depth


def _error(detail: str) -> tarfile.TarError:
    return tarfile.ReadError(detail)

"""The bytes that an archive's records are made of, plain or gunzipped, and where in the stored file they come from.

What is read, and where damage is met, depends on the stored bytes and on the place where reading began only: stored
bytes are taken in pieces that end at multiples of 64 KiB, so that reading from a member's beginning on gives what
reading from the file's beginning gives there, also inside a damaged member.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

_CHUNK = 1 << 16
_MAX_LINE = 1 << 16
_FIRST_LINE = 4096
_GZIP = b"\x1f\x8b\x08"


class Stream(Protocol):
    """What is asked of an archive's file."""

    def read(self, count: int, /) -> bytes:
        """The next bytes; fewer than asked for only at the end."""
        ...

    def seek(self, position: int, /) -> int:
        """Go to a position in the file."""
        ...


@dataclass(frozen=True, slots=True)
class Damage:
    """A place that cannot be read as a record: where it begins, and what was found."""

    offset: int
    detail: str


class ArchiveInput:
    """The decompressed bytes of a file, the places in the stored file that they come from, and their damage.

    Args:
        stream: the file.
        begins: whether decompressed bytes begin like a record.
        start: where in the file to begin; after 0 it must be a `border` of the file.
        packed: whether the file is gzip; None: find out (only at 0).
    """

    def __init__(
        self, stream: Stream, begins: Callable[[bytes], bool], start: int = 0, packed: bool | None = None
    ) -> None:
        self._stream = stream
        self._begins = begins
        self._stream.seek(start)
        self._raw = b""
        self._raw_end = start  # position in the file after `_raw`
        self.damage: Damage | None = None
        self._inflater: Any = None  # zlib.decompressobj has no public type
        self._member = start
        self._buffer = bytearray()
        self._at = 0
        self._base = 0 if packed else start  # decompressed position of the buffer's first byte
        self._members: list[tuple[int, int]] = []  # (decompressed position, offset in the file), ascending
        self._fresh: int | None = None  # decompressed position of a member of which nothing is unpacked yet
        self._records: list[int] = []  # decompressed positions of members that begin like a record, ascending
        self._end: int | None = None  # of a plain file, once it is known
        self.packed = self._find_out() if packed is None else packed

    def _find_out(self) -> bool:
        self._raw = self._read_raw()
        if self._raw.startswith(_GZIP):
            return True
        packed = False
        if self._raw and not self._begins(self._raw) and self._next_member(0) is not None:
            # A gzip file whose very first bytes are damaged.
            packed = True
            self.damage = Damage(0, f"expected a gzip member, found {self._raw[:20]!r}")
        self._stream.seek(self._raw_end)
        return packed

    @property
    def offset(self) -> int:
        """Where in the file the next byte is stored; in gzip the beginning of its member."""
        here = self._base + self._at
        if not self.packed:
            return here
        if self._at >= len(self._buffer):
            self._fill()
        while len(self._members) > 1 and self._members[1][0] <= here:
            self._members.pop(0)
        return self._members[0][1] if self._members else self._member

    @property
    def border(self) -> int | None:
        """Where in the file reading could begin to give all that follows; None where it could not begin here."""
        if self._at >= len(self._buffer):
            self._fill()
        if self.damage is not None or self._at >= len(self._buffer):
            return None
        offset = self.offset
        if self.packed and self._members[0][0] != self._base + self._at:
            return None  # inside a gzip member
        return offset

    @property
    def why(self) -> str:
        """The cause of a sudden end, as a clause for a message."""
        if self.packed and self._records and self._records[0] == self._base + self._at:
            return " (another record begins there)"
        return f" ({self.damage.detail})" if self.damage is not None else " (the file ends there)"

    def line(self) -> bytes:
        """The next line with its end, at most 64 KiB of it; b"" at the end or at damage."""
        while True:
            end = self._buffer.find(b"\n", self._at, self._at + _MAX_LINE)
            if end >= 0:
                return self._take(end + 1 - self._at)
            if len(self._buffer) - self._at >= _MAX_LINE or not self._fill():
                return self._take(min(_MAX_LINE, len(self._buffer) - self._at))

    def read(self, length: int) -> bytes:
        """The next bytes; fewer only at the end, at damage, and where a gzip member begins like a record."""
        start = self._base + self._at
        while len(self._buffer) - self._at < self._until_record(start, length) and self._fill():
            pass
        return self._take(min(self._until_record(start, length), len(self._buffer) - self._at))

    def skip(self, length: int) -> int:
        """Pass over bytes without keeping them; how many there were."""
        start = self._base + self._at
        while (passed := self._base + self._at - start) < self._until_record(start, length):
            if self._at >= len(self._buffer) and not self._fill():
                break
            self._at += min(self._until_record(start, length) - passed, len(self._buffer) - self._at)
        return self._base + self._at - start

    def go_back(self, position: int) -> None:
        """Read a plain file again from a position on, its end having been met; it will not be met in vain again."""
        if self._end is None:
            self._end = self._base + len(self._buffer)
        self._stream.seek(position)
        self._raw, self._raw_end = b"", position
        self._base, self._buffer, self._at = position, bytearray(), 0

    def take_back(self, line: bytes) -> None:
        """Give back the line that was read last."""
        self._at -= len(line)

    def cut_after(self, length: int) -> int | None:
        """How many of the next bytes there are, where the file's end is known and they are fewer than `length`."""
        if self._end is None or self._base + self._at + length <= self._end:
            return None
        return self._end - self._base - self._at

    def _until_record(self, start: int, length: int) -> int:
        """Of `length` bytes from a decompressed position on those before a member that begins like a record."""
        while self._records and self._records[0] <= start:
            self._records.pop(0)
        return min(length, self._records[0] - start) if self._records else length

    def recover(self) -> bool:
        """After damage in gzip: go to the next member that begins like a record; False where there is none."""
        if self.damage is None or not self.packed:
            return False
        position = self._next_member(self._member + 1)
        self.damage = None
        if position is None:
            return False
        self._stream.seek(position)
        self._raw, self._raw_end = b"", position
        self._inflater = None
        self._fresh = None
        self._records.clear()
        self._base += len(self._buffer)
        self._buffer, self._at = bytearray(), 0
        return True

    def _next_member(self, position: int) -> int | None:
        """Where the next gzip member that begins like a record is, from a position in the file on."""
        while True:
            self._stream.seek(position)
            window = self._stream.read(4 * _CHUNK)
            at = window.find(_GZIP)
            while at >= 0 and not self._member_begins(window[at : at + 4096]):
                at = window.find(_GZIP, at + 1)
            if at >= 0:
                return position + at
            if len(window) < 4 * _CHUNK:
                return None
            position += len(window) - 4096  # a member may begin near the window's end

    def _take(self, length: int) -> bytes:
        taken = bytes(self._buffer[self._at : self._at + length])
        self._at += length
        return taken

    def _fill(self) -> bool:
        """Add decompressed bytes to the buffer; False at the end or at damage."""
        if self.damage is not None:
            return False
        if self._at:
            self._base += self._at
            del self._buffer[: self._at]
            self._at = 0
        if not self.packed:
            piece, self._raw = self._raw or self._read_raw(), b""
            self._buffer += piece
            return bool(piece)
        while True:
            if not self._raw:
                self._raw = self._read_raw()
            if self._inflater is None and not self._begin_member():
                return False
            if self._inflate():
                return True
            if self.damage is not None:
                return False

    def _begin_member(self) -> bool:
        while self._raw.startswith(b"\0"):  # padding between members
            self._raw = self._raw.lstrip(b"\0") or self._read_raw()
        if not self._raw:
            return False
        self._member = self._raw_end - len(self._raw)
        if len(self._raw) < len(_GZIP):
            self._raw += self._read_raw()
        if not self._raw.startswith(_GZIP):
            self.damage = Damage(self._member, f"expected a gzip member, found {self._raw[:20]!r}")
            return False
        self._inflater = zlib.decompressobj(31)
        self._fresh = self._base + len(self._buffer)
        self._members.append((self._fresh, self._member))
        return True

    def _read_raw(self) -> bytes:
        piece = self._stream.read(_CHUNK - self._raw_end % _CHUNK)
        self._raw_end += len(piece)
        return piece

    def _inflate(self) -> bool:
        """Inflate some of the current member; whether bytes came out."""
        inflater = self._inflater
        if inflater is None:
            return False
        try:
            # Bounded output: a bomb of a member is passed over piece by piece.
            piece = inflater.decompress(self._raw, 16 * _CHUNK)
        except zlib.error as error:
            self.damage = Damage(self._member, f"the gzip member is damaged: {error}")
            return False
        if not (self._raw or piece or inflater.eof):
            self.damage = Damage(self._member, "the file ends inside a gzip member")
            return False
        self._raw = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
        if inflater.eof:
            self._inflater = None
        self._buffer += piece
        if piece and self._fresh is not None:
            if self._begins(piece[:_FIRST_LINE]):
                self._records.append(self._fresh)
            self._fresh = None
        return bool(piece)

    def _member_begins(self, member: bytes) -> bool:
        """Whether the beginning of a gzip member unpacks to the beginning of a record."""
        try:
            return self._begins(zlib.decompressobj(31).decompress(member, 4096))
        except zlib.error:
            return False

"""Bytes and seconds as people read them."""

from __future__ import annotations


def bytes_text(count: float) -> str:
    """Return bytes with a decimal unit: "812 B", "3.4 MB"."""
    if count < 1000:
        return f"{count:.0f} B"
    for unit in ("kB", "MB", "GB", "TB"):
        count /= 1000
        if count < 999.95 or unit == "TB":
            return f"{count:.1f} {unit}"
    raise AssertionError("unreachable")


def seconds_text(seconds: float) -> str:
    """Return a duration: "3.2 s", "4 min 10 s", "2 h 05 min"."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"
    return f"{int(seconds) // 3600} h {int(seconds) % 3600 // 60:02d} min"

"""What an installation can do, found by looking."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform

PACKAGES = ("pyarrow", "numba", "trafilatura", "tokenizers", "torch", "ray", "apache-beam", "s3fs", "datatrove")


def examine() -> dict[str, str]:
    """Return facts by name; a package that is missing says so."""
    found = {
        "python": platform.python_version(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB",
        "POMONA_DATA": os.environ.get("POMONA_DATA", "not set: tests marked data are skipped"),
    }
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    found["device"] = _device()
    found["scratch"] = _scratch()
    return found


def _scratch() -> str:
    """Where files go that a store cannot hold, and the room there; POMONA_SCRATCH names another place."""
    from pipelines.storage import room
    from pipelines.storage.space import root

    try:
        place = root()
    except OSError as error:
        return f"not usable: {error}; set POMONA_SCRATCH"
    return f"{place} ({(room(place) or 0) / 2**30:.1f} GiB free)"


def _device() -> str:
    if importlib.util.find_spec("torch") is None:
        return "no torch"
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else "cpu"

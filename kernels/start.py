"""How a process comes to its first kernel sooner."""

from __future__ import annotations

import importlib
import sys

_BLAS = "scipy.linalg.cython_blas"


def load_numba() -> None:
    """Import what Numba imports before the first kernel runs, but for SciPy.

    Numba's array functions look for SciPy's BLAS when they are imported, which takes a tenth of the time that a process
    needs to its first page. They want it for inner products alone (`numba.np.arraymath._HAVE_BLAS`; `np.dot` looks for
    itself when it is used), and no kernel here has one. What comes later finds SciPy as ever.
    """
    if _BLAS in sys.modules or "numba.np.arraymath" in sys.modules:
        return
    importlib.import_module("numba")
    sys.modules[_BLAS] = None  # type: ignore[assignment]  # an import of it now fails, its packages unread
    try:
        importlib.import_module("numba.np.arraymath")
    finally:
        del sys.modules[_BLAS]

"""Whether what a job costs grows with the size of what it is given, or with its square."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Given = TypeVar("Given")
TRIES = 5


def is_linear(job: Callable[[Given], object], make: Callable[[int], Given], size: int, times: int = 8) -> bool:
    """Tell whether ``times`` the size costs about ``times`` as much, and not the square of it.

    Processor time of both sizes is compared, the least of all runs so far: noise only lengthens a run, so on a busy
    machine this may take more runs, up to five of the large size, and passes as soon as they are in proportion. The
    bound is ``times`` to the power 1.5, half way between the line and the square, so a quadratic job is beyond it by a
    factor of ``times`` to the power 0.5 however often it runs. A tenth of a second is allowed beyond the bound, for
    what the clock does not tell apart: take a size of which a quadratic job would need much more.

    Use it where nothing can be counted (a regular expression, a kernel); else count calls, pairs or bytes.

    Args:
        job: what is measured; it should leave what it is given as it was.
        make: makes what the job is given, of a size; not measured.
        size: the smaller size.
        times: how many times as large the larger one is.
    """
    small, large = make(size), make(times * size)
    job(small)  # what is compiled, imported or cached at first does not count
    least_small = least_large = float("inf")
    for _ in range(TRIES):
        least_small = min(least_small, *(_seconds(job, small) for _ in range(2)))
        least_large = min(least_large, _seconds(job, large))
        if least_large < times**1.5 * least_small + 0.1:
            return True
    return False


def _seconds(job: Callable[[Given], object], given: Given) -> float:
    began = time.process_time()
    job(given)
    return time.process_time() - began

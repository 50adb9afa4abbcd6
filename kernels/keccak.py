"""Keccak-256 as Ethereum has it: the sponge of SHA-3 (FIPS 202) with the padding from before the standard."""

# pyright: reportMissingParameterType=false
# The types of a kernel's parameters are those it is called with: Numba compiles it for them.

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit

__all__ = ["keccak_256"]

_RATE: Final = 136


def _constants() -> tuple[list[int], list[int], list[int]]:
    """Round constants, rotations and the order of lanes, by the recurrences of FIPS 202, 3.2."""
    rounds: list[int] = []
    register = 1
    for _ in range(24):
        constant = 0
        for power in range(7):
            if register & 1:
                constant |= 1 << ((1 << power) - 1)
            register = (register << 1) ^ (0x171 if register & 0x80 else 0)
        rounds.append(constant)
    rotations, lanes = [0] * 24, [0] * 24
    x, y = 1, 0
    for step in range(24):
        rotations[step] = (step + 1) * (step + 2) // 2 % 64
        x, y = y, (2 * x + 3 * y) % 5
        lanes[step] = x + 5 * y
    return rounds, rotations, lanes


_ROUNDS, _ROTATIONS, _LANES = (np.array(values, np.uint64) for values in _constants())


def keccak_256(message: bytes) -> bytes:
    """The digest, 32 bytes."""
    padded = np.zeros((len(message) // _RATE + 1) * _RATE, np.uint8)
    padded[: len(message)] = np.frombuffer(message, np.uint8)
    padded[len(message)] = 1
    padded[-1] |= 0x80
    return _absorbed(padded.view("<u8"), _ROUNDS, _ROTATIONS, _LANES)[:4].astype("<u8").tobytes()


@njit(cache=True, nogil=True)
def _absorbed(words, rounds, rotations, lanes) -> Any:
    state = np.zeros(25, np.uint64)
    column = np.zeros(5, np.uint64)
    for first in range(0, len(words), 17):
        for k in range(17):
            state[k] ^= words[first + k]
        for constant in rounds:
            for x in range(5):
                column[x] = state[x] ^ state[x + 5] ^ state[x + 10] ^ state[x + 15] ^ state[x + 20]
            for x in range(5):
                following = column[(x + 1) % 5]
                mixed = column[(x + 4) % 5] ^ (following << np.uint64(1) | following >> np.uint64(63))
                for y in range(0, 25, 5):
                    state[x + y] ^= mixed
            carried = state[1]
            for k in range(24):
                lane = lanes[k]
                held = state[lane]
                state[lane] = carried << rotations[k] | carried >> (np.uint64(64) - rotations[k])
                carried = held
            for y in range(0, 25, 5):
                for x in range(5):
                    column[x] = state[x + y]
                for x in range(5):
                    state[x + y] = column[x] ^ (~column[(x + 1) % 5] & column[(x + 2) % 5])
            state[0] ^= constant
    return state

"""Sixty-four bytes of a text at once: which of them are of a kind, as the bits of one number.

Bit ``k`` of a mask speaks of byte ``at + k``. The instructions are LLVM's vectors of 64 bytes, which it makes for every
processor: the values are the same everywhere (that is little-endian), the speed is not. Nothing checks the bounds: a
caller reads only what ``len(data)`` allows, with ``at_least_a_block`` for the shortest batches and ``last_block`` at
the end.
"""

# pyright: reportMissingParameterType=false, reportUnknownMemberType=false, reportUnknownParameterType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportMissingTypeStubs=false
# The types of a kernel's parameters are those it is called with, and llvmlite has none.

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

import numpy as np
from llvmlite import ir
from numba import extending, njit, types
from numpy.typing import NDArray

__all__ = [
    "BLOCK_BYTES",
    "SPARE",
    "at_least_a_block",
    "bits_below",
    "copy_block",
    "count_bits",
    "find_byte",
    "first_bit",
    "last_bit",
    "last_block",
    "load_word",
    "mask_between",
    "mask_doubled",
    "mask_equal",
    "mask_pair",
    "prefetch",
    "store_word",
    "write_places",
]

# Numba's own type of it speaks of the function as it is written, with the typing context that callers do not pass.
intrinsic = cast("Callable[[Callable[..., Any]], Callable[..., Any]]", extending.intrinsic)

BLOCK_BYTES: Final = 64
SPARE: Final = 16
"""Room that ``write_places`` needs beyond the places themselves."""
_PADDED: Final = 128  # a block and what lies behind it

_BYTE: Final = ir.IntType(8)
_WORD: Final = ir.IntType(64)
_BLOCK: Final = ir.VectorType(_BYTE, BLOCK_BYTES)


def at_least_a_block(data: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same bytes, with zeros behind them where they are too few for the kernels that read blocks."""
    if len(data) >= _PADDED:
        return data
    padded = np.zeros(_PADDED, np.uint8)
    padded[: len(data)] = data
    padded.flags.writeable = False
    return padded


def _loaded(context: Any, builder: Any, array_type: Any, array: Any, at: Any, kind: Any) -> Any:
    """Read a value of LLVM type ``kind`` that begins at any byte."""
    pointer = builder.gep(context.make_array(array_type)(context, builder, array).data, [at])
    value = builder.load(builder.bitcast(pointer, kind.as_pointer()))
    value.align = 1
    return value


def _spread(builder: Any, byte: Any) -> Any:
    """A block of one byte repeated."""
    one = builder.insert_element(ir.Constant(_BLOCK, ir.Undefined), byte, ir.Constant(ir.IntType(32), 0))
    places = ir.Constant(ir.VectorType(ir.IntType(32), BLOCK_BYTES), [0] * BLOCK_BYTES)
    return builder.shuffle_vector(one, ir.Constant(_BLOCK, ir.Undefined), places)


@intrinsic
def load_word(typing_context, data, at) -> Any:
    """The eight bytes from ``at`` on as a number."""

    def build(context, builder, signature, arguments) -> Any:
        return _loaded(context, builder, signature.args[0], arguments[0], arguments[1], _WORD)

    return types.uint64(data, types.intp), build


@intrinsic
def copy_block(typing_context, source, at, target, to) -> Any:
    """Copy the 64 bytes from a place of one array on to a place of another."""

    def build(context, builder, signature, arguments) -> Any:
        block = _loaded(context, builder, signature.args[0], arguments[0], arguments[1], _BLOCK)
        place = builder.gep(context.make_array(signature.args[2])(context, builder, arguments[2]).data, [arguments[3]])
        builder.store(block, builder.bitcast(place, _BLOCK.as_pointer())).align = 1
        return context.get_dummy_value()

    return types.none(source, types.intp, target, types.intp), build


@intrinsic
def store_word(typing_context, data, at, value) -> Any:
    """Write a number as the four bytes from ``at`` on."""

    def build(context, builder, signature, arguments) -> Any:
        place = builder.gep(context.make_array(signature.args[0])(context, builder, arguments[0]).data, [arguments[1]])
        builder.store(arguments[2], builder.bitcast(place, ir.IntType(32).as_pointer())).align = 1
        return context.get_dummy_value()

    return types.none(data, types.intp, types.uint32), build


@intrinsic
def prefetch(typing_context, data, at) -> Any:
    """Ask for the part of memory around an element that will be read soon; nothing waits for it."""

    def build(context, builder, signature, arguments) -> Any:
        array_type, array = signature.args[0], arguments[0]
        pointer = builder.gep(context.make_array(array_type)(context, builder, array).data, [arguments[1]])
        pointer = builder.bitcast(pointer, _BYTE.as_pointer())
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, number, number, number])
        asked = builder.module.declare_intrinsic("llvm.prefetch", [pointer.type], kind)
        builder.call(asked, [pointer, number(0), number(3), number(1)])  # to be read, near the processor, data
        return context.get_dummy_value()

    return types.none(data, types.intp), build


@intrinsic
def mask_equal(typing_context, data, at, byte) -> Any:
    """Which bytes are ``byte``."""

    def build(context, builder, signature, arguments) -> Any:
        array, at, byte = arguments
        block = _loaded(context, builder, signature.args[0], array, at, _BLOCK)
        return builder.bitcast(builder.icmp_unsigned("==", block, _spread(builder, byte)), _WORD)

    return types.uint64(data, types.intp, types.uint8), build


@intrinsic
def mask_between(typing_context, data, at, low, high) -> Any:
    """Which bytes are at least ``low`` and at most ``high``."""

    def build(context, builder, signature, arguments) -> Any:
        array, at, low, high = arguments
        block = _loaded(context, builder, signature.args[0], array, at, _BLOCK)
        above = builder.sub(block, _spread(builder, low))
        width = _spread(builder, builder.sub(high, low))
        return builder.bitcast(builder.icmp_unsigned("<=", above, width), _WORD)

    return types.uint64(data, types.intp, types.uint8, types.uint8), build


@intrinsic
def mask_pair(typing_context, data, at, first, apart, second, fold) -> Any:
    """Which bytes are ``first`` and have ``second`` ``apart`` bytes behind them, where ``fold`` has the bits to ignore.

    It reads ``apart`` bytes behind the block.
    """

    def build(context, builder, signature, arguments) -> Any:
        array, at, first, apart, second, fold = arguments
        ignored = _spread(builder, fold)
        found = []
        for place, byte in ((at, first), (builder.add(at, apart), second)):
            block = _loaded(context, builder, signature.args[0], array, place, _BLOCK)
            wanted = _spread(builder, builder.or_(byte, fold))
            found.append(builder.icmp_unsigned("==", builder.or_(block, ignored), wanted))
        return builder.bitcast(builder.and_(*found), _WORD)

    return types.uint64(data, types.intp, types.uint8, types.intp, types.uint8, types.uint8), build


@intrinsic
def mask_doubled(typing_context, data, at) -> Any:
    """Which bytes are followed by their equal. It reads one byte behind the block."""

    def build(context, builder, signature, arguments) -> Any:
        array, at = arguments
        block = _loaded(context, builder, signature.args[0], array, at, _BLOCK)
        behind = builder.add(at, ir.Constant(at.type, 1))
        following = _loaded(context, builder, signature.args[0], array, behind, _BLOCK)
        return builder.bitcast(builder.icmp_unsigned("==", block, following), _WORD)

    return types.uint64(data, types.intp), build


@intrinsic
def first_bit(typing_context, mask) -> Any:
    """Number of the lowest bit that is set; 64 where none is."""

    def build(context, builder, signature, arguments) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), build


@intrinsic
def last_bit(typing_context, mask) -> Any:
    """Number of the highest bit that is set; -1 where none is."""

    def build(context, builder, signature, arguments) -> Any:
        zeros = builder.ctlz(arguments[0], ir.Constant(ir.IntType(1), 0))
        return builder.sub(ir.Constant(_WORD, 63), zeros)

    return types.int64(types.uint64), build


@intrinsic
def count_bits(typing_context, mask) -> Any:
    """How many bits are set."""

    def build(context, builder, signature, arguments) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), build


@njit(cache=True, nogil=True, inline="always")
def bits_below(count) -> Any:
    """The mask of the first ``count`` bytes of a block; of all where there are more."""
    return ~np.uint64(0) if count >= 64 else (np.uint64(1) << np.uint64(count)) - np.uint64(1)


@njit(cache=True, nogil=True, inline="always")
def write_places(places, at, base, mask) -> Any:
    """Write where the bits of a block's mask stand, from number ``at`` on; return the number behind the last.

    The first sixteen are written whether or not there are as many, for how often a loop turns is what the processor
    cannot foretell: ``places`` must have room for ``SPARE`` more. What stands behind the last is of no use.
    """
    behind = np.uint64(at) + np.uint64(count_bits(mask))
    to = np.uint64(at)
    for _ in range(16):
        places[to] = base + first_bit(mask)
        mask &= mask - np.uint64(1)
        to += np.uint64(1)
    while mask:
        places[to] = base + first_bit(mask)
        mask &= mask - np.uint64(1)
        to += np.uint64(1)
    return behind


@njit(cache=True, nogil=True)
def find_byte(data, at, end, byte) -> Any:
    """Position of the first ``byte`` from ``at`` on; ``end`` where there is none."""
    while at < end:
        block = last_block(at, len(data))
        mask = mask_equal(data, block, np.uint8(byte)) >> np.uint64(at - block)
        if mask:
            return min(end, at + first_bit(mask))
        at += 64
    return end


@njit(cache=True, nogil=True, inline="always")
def last_block(at, length) -> Any:
    """Where to load the block at ``at`` of ``length`` bytes: at most at its last 64; masks are shifted by the rest."""
    return min(at, length - 64)

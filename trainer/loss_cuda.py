"""Softmax cross-entropy with z-loss of a block of logits as one CUDA kernel, in Triton, which comes with torch there.

Done with torch's own operations, every logit is read and written ten times, most of it in float32; here it is read
twice and written once, in the dtype that it has. Imported where there is a GPU (`trainer.loss`).
"""

# pyright: reportMissingImports=false, reportMissingParameterType=false, reportMissingTypeStubs=false
# pyright: reportInvalidTypeForm=false, reportUnknownParameterType=false, reportIndexIssue=false
# The types of a kernel's parameters are those it is called with, and Triton is there only where torch has CUDA.

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

_COLUMNS = 4096  # of a row at once
_IGNORE = -100  # trainer.loss.IGNORE, which imports this file


def row_losses(
    logits: Tensor, labels: Tensor, per_token: Tensor, log_z: Tensor, z_loss: float, gradients: bool
) -> Tensor:
    """Fill in each row's cross-entropy and log Z, float32, 0 where ignored; return logits turned into gradients.

    logits [rows, vocabulary], contiguous, are overwritten; labels int64 [rows]. The gradient is softmax · (1 +
    2·z_loss·log Z) - onehot(label), zero where ignored, in the logits' dtype; all in between is float32. Each row is
    added up in one order, whatever the other rows are.
    """
    rows, vocabulary = logits.shape
    _kernel[(rows,)](
        logits, labels, per_token, log_z, 2.0 * z_loss, vocabulary, _IGNORE,
        GRADIENTS=gradients, COLUMNS=_COLUMNS, num_warps=8,
    )  # fmt: skip
    return logits


@triton.jit
def _kernel(
    logits, labels, per_token, log_z, twice_z_loss, vocabulary, ignore, GRADIENTS: tl.constexpr, COLUMNS: tl.constexpr
):
    row = tl.program_id(0).to(tl.int64)
    place = logits + row * vocabulary
    label = tl.load(labels + row)
    columns = tl.arange(0, COLUMNS)
    if label == ignore:
        tl.store(per_token + row, 0.0)
        tl.store(log_z + row, 0.0)
        if GRADIENTS:
            for first in range(0, vocabulary, COLUMNS):
                nothing = tl.zeros((COLUMNS,), logits.dtype.element_ty)
                tl.store(place + first + columns, nothing, mask=first + columns < vocabulary)
    else:
        chosen = tl.load(place + label).to(tl.float32)
        # The largest so far, and the sum of exponentials below it, a lane each (Milakov and Gimelshein 1805.02867).
        top = float("-inf")
        sums = tl.zeros((COLUMNS,), tl.float32)
        for first in range(0, vocabulary, COLUMNS):
            inside = first + columns < vocabulary
            x = tl.load(place + first + columns, mask=inside, other=float("-inf")).to(tl.float32)
            higher = tl.maximum(top, tl.max(x, 0))
            sums = sums * tl.exp(top - higher) + tl.exp(x - higher)
            top = higher
        total = tl.sum(sums, 0)
        z = top + tl.log(total)
        # Not z - chosen: beside a large top the logarithm would lose its digits.
        tl.store(per_token + row, tl.log(total) + (top - chosen))
        tl.store(log_z + row, z)
        if GRADIENTS:
            tl.debug_barrier()  # every thread has read the label's logit before one overwrites it
            factor = (1.0 + twice_z_loss * z) / total
            for first in range(0, vocabulary, COLUMNS):
                inside = first + columns < vocabulary
                x = tl.load(place + first + columns, mask=inside, other=float("-inf")).to(tl.float32)
                gradient = tl.exp(x - top) * factor
                gradient = tl.where(first + columns == label, gradient - 1.0, gradient)
                tl.store(place + first + columns, gradient.to(logits.dtype.element_ty), mask=inside)

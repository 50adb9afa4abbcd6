"""Train language models on a mixture: architectures, data order, optimizers, stages, checkpoints.

A house of its own: it reads a run folder's `tokens/` and `tokenizer/`, and imports nothing of the curation half.
Importing this package, `trainer.recipe` or `trainer.data` does not import torch.
"""

from __future__ import annotations

import os

# Where another program competes for the cores, GNU OpenMP's default (spin 300,000 times at every barrier) slows torch's
# CPU kernels tens of times. Spinning less costs nothing measurable on a free machine. Read once, when torch is loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

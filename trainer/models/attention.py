"""Grouped-query attention with query/key normalisation, document masking and a key/value cache."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.device import on_device
from trainer.models.config import DecoderConfig
from trainer.models.norm import RMSNorm
from trainer.models.rope import rotate


class KeyValueCache:
    """Keys and values of the tokens already seen, one pair of tensors [batch, kv_heads, tokens, head_dim] a layer."""

    def __init__(self, layers: int) -> None:
        self._pairs: list[tuple[Tensor, Tensor] | None] = [None] * layers

    @property
    def length(self) -> int:
        """Tokens held."""
        first = self._pairs[0]
        return 0 if first is None else first[0].shape[2]

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Append to a layer and return all its keys and values."""
        held = self._pairs[layer]
        if held is not None:
            keys = torch.cat((held[0], keys), dim=2)
            values = torch.cat((held[1], values), dim=2)
        self._pairs[layer] = (keys, values)
        return keys, values


def document_mask(document_ids: Tensor) -> Tensor:
    """Who may see whom in a packed sequence: [batch, n] ids -> bool [batch, 1, n, n], True where i may attend to j.

    Position i sees j when j <= i and both belong to one document, so that packing leaks nothing across documents
    (Llama 3 report 2407.21783 sec 3.2 trains so; AFM's report does not say).
    """
    n = document_ids.shape[1]
    same = document_ids[:, :, None] == document_ids[:, None, :]
    causal = torch.ones(n, n, dtype=torch.bool, device=document_ids.device).tril()
    return (same & causal)[:, None]


class Segments(NamedTuple):
    """Where the documents of a packed batch lie, its rows end to end: `document_mask` for flash attention."""

    starts: Tensor
    """Int32 [documents + 1], on the model's device."""
    longest: int
    """No document has more tokens: the length of a row."""


def segments(document_ids: Tensor, device: torch.device) -> Segments:
    """Where each document lies: [batch, n] ids, a document's tokens side by side in a row.

    Ids on the CPU keep the device at work: it need not answer how many documents there are.
    """
    ids = document_ids.cpu()
    begins = torch.ones(ids.shape, dtype=torch.bool)
    begins[:, 1:] = ids[:, 1:] != ids[:, :-1]
    starts = F.pad(begins.flatten().nonzero().flatten().to(torch.int32), (0, 1), value=ids.numel())
    # The row's length, and not the longest document's, so that a compiled layer is the same for every batch.
    return Segments(on_device(starts.numpy(), device), ids.shape[1])


def has_flash(device: torch.device, dtype: torch.dtype, head_dim: int) -> bool:
    """Whether flash attention for sequences of many lengths runs there: half precision, Ampere or newer."""
    return (
        device.type == "cuda"
        and dtype in (torch.bfloat16, torch.float16)
        and head_dim % 8 == 0
        and head_dim <= 256
        and torch.cuda.get_device_capability(device) >= (8, 0)
        and torch.backends.cuda.is_flash_attention_available()
    )


class Attention(nn.Module):
    """Grouped-query attention (Ainslie et al. 2305.13245), RMSNorm on query and key heads (2309.14322), no biases."""

    def __init__(self, config: DecoderConfig, layer: int, device: torch.device | str | None = None) -> None:
        super().__init__()
        self.layer = layer
        self.heads, self.kv_heads, self.head_dim = config.heads, config.kv_heads, config.head_dim
        query_width, kv_width = config.heads * config.head_dim, config.kv_heads * config.head_dim
        self.query = nn.Linear(config.width, query_width, bias=False, device=device)
        self.key = nn.Linear(config.width, kv_width, bias=False, device=device)
        self.value = nn.Linear(config.width, kv_width, bias=False, device=device)
        self.output = nn.Linear(query_width, config.width, bias=False, device=device)
        self.query_norm = RMSNorm(config.head_dim, config.norm_eps, device)
        self.key_norm = RMSNorm(config.head_dim, config.norm_eps, device)

    def forward(
        self, x: Tensor, rotation: tuple[Tensor, Tensor], mask: Tensor | Segments | None, cache: KeyValueCache | None
    ) -> Tensor:
        """[batch, n, width] -> [batch, n, width]; None means plain causal, documents of one sequence or many."""
        batch, n, _ = x.shape
        if isinstance(mask, Segments):
            return self._packed(x, rotation, mask)
        queries = self.query_norm(self.query(x).view(batch, n, self.heads, self.head_dim)).transpose(1, 2)
        keys = self.key_norm(self.key(x).view(batch, n, self.kv_heads, self.head_dim)).transpose(1, 2)
        values = self.value(x).view(batch, n, self.kv_heads, self.head_dim).transpose(1, 2)
        queries, keys = rotate(queries, *rotation), rotate(keys, *rotation)
        if cache is not None:
            keys, values = cache.extend(self.layer, keys, values)
        mixed = F.scaled_dot_product_attention(
            queries,
            keys,
            values,
            attn_mask=mask,
            # With a cache a single query sees every key; is_causal would align it with the first key.
            is_causal=mask is None and n > 1,
            enable_gqa=self.heads != self.kv_heads,
        )
        return self.output(mixed.transpose(1, 2).reshape(batch, n, self.heads * self.head_dim))

    def _packed(self, x: Tensor, rotation: tuple[Tensor, Tensor], where: Segments) -> Tensor:
        """The same by flash attention, each document a sequence of its own: no n² mask, no score that is not needed."""
        batch, n, _ = x.shape
        cos, sin = (one[:, None] for one in rotation)
        queries = self.query_norm(self.query(x).view(batch, n, self.heads, self.head_dim))
        keys = self.key_norm(self.key(x).view(batch, n, self.kv_heads, self.head_dim))
        values = self.value(x).view(batch * n, self.kv_heads, self.head_dim)
        queries, keys = rotate(queries, cos, sin).flatten(0, 1), rotate(keys, cos, sin).flatten(0, 1)
        # What torch.nn.attention.varlen calls; that module's own signature still changes with every version.
        found: Any = torch.ops.aten._flash_attention_forward(
            queries, keys, values, where.starts, where.starts, where.longest, where.longest, 0.0, True, False
        )
        return self.output(found[0].view(batch, n, self.heads * self.head_dim))

"""Grouped-query attention with query/key normalisation, document masking and a key/value cache."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

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
        self, x: Tensor, rotation: tuple[Tensor, Tensor], mask: Tensor | None, cache: KeyValueCache | None
    ) -> Tensor:
        """[batch, n, width] -> [batch, n, width]; `mask` as `document_mask` gives it, None means plain causal."""
        batch, n, _ = x.shape
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

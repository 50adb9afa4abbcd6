"""BERT's encoder (Devlin et al. 2018, arXiv 1810.04805) read from a folder in transformers' layout; torch alone.

Reads ``config.json`` and ``model.safetensors`` of models of type ``bert``, such as all-MiniLM-L6-v2 or Snowflake's
arctic-embed; the hidden states agree with transformers' ``BertModel`` to 1e-5.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from filters.quality.card import QualityModelError

__all__ = ["Bert", "read_bert"]

_EXPECTED: Final = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "position_embedding_type": "absolute",
    "is_decoder": False,
}


class Layer(nn.Module):
    """Self-attention and a feed-forward layer, each followed by the residual and a layer norm."""

    def __init__(self, width: int, heads: int, inner: int, eps: float) -> None:
        """Make a layer of random weights."""
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.out, self.first, self.second = nn.Linear(width, width), nn.Linear(width, inner), nn.Linear(inner, width)
        self.attention_norm, self.norm = nn.LayerNorm(width, eps), nn.LayerNorm(width, eps)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """States (texts, tokens, width) of the next layer; ``mask`` (texts, 1, 1, tokens) is true for tokens."""
        texts, tokens, width = states.shape
        shape = (texts, tokens, self.heads, width // self.heads)
        query, key, value = (one(states).view(shape).transpose(1, 2) for one in (self.query, self.key, self.value))
        seen = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        states = self.attention_norm(states + self.out(seen.transpose(1, 2).reshape(texts, tokens, width)))
        return self.norm(states + self.second(functional.gelu(self.first(states))))


class Bert(nn.Module):
    """Token ids to hidden states."""

    def __init__(self, config: dict[str, Any]) -> None:
        """Make a model of random weights with the sizes of a ``config.json``."""
        super().__init__()
        width, eps = int(config["hidden_size"]), float(config["layer_norm_eps"])
        self.longest = int(config["max_position_embeddings"])
        self.words = nn.Embedding(int(config["vocab_size"]), width)
        self.positions = nn.Embedding(self.longest, width)
        self.kinds = nn.Embedding(int(config["type_vocab_size"]), width)
        self.norm = nn.LayerNorm(width, eps)
        heads, inner = int(config["num_attention_heads"]), int(config["intermediate_size"])
        self.layers = nn.ModuleList([Layer(width, heads, inner, eps) for _ in range(int(config["num_hidden_layers"]))])

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Hidden states (texts, tokens, width) of the last layer.

        Args:
            ids: of tokens, (texts, tokens).
            mask: whether a place holds a token, of the same shape.
        """
        places = torch.arange(ids.shape[1], device=ids.device)
        states = self.norm(self.words(ids) + self.positions(places) + self.kinds.weight[0])
        for layer in self.layers:
            states = layer(states, mask[:, None, None, :])
        return states


def read_bert(folder: Path) -> Bert:
    """Read a model in float32, ready to be asked.

    Raises:
        FileNotFoundError: a file is missing.
        QualityModelError: it is a model of another kind, or weights are missing.
    """
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_bytes())
        weights = load_file(folder / "model.safetensors")
    except (ValueError, SafetensorError) as error:
        raise QualityModelError(f"quality: {folder}: found no encoder ({error}), expected a BERT model") from error
    for name, expected in _EXPECTED.items():
        if config.get(name, expected) != expected:
            raise QualityModelError(
                f"quality: {folder / 'config.json'}: {name}: found {config[name]!r}, expected {expected!r}"
            )
    try:
        model = Bert(config)
        model.load_state_dict(_named({name.removeprefix("bert."): one for name, one in weights.items()}))
    except (KeyError, RuntimeError) as error:
        raise QualityModelError(
            f"quality: {folder / 'model.safetensors'}: found other weights than a BERT model's of these sizes: {error}"
        ) from error
    return model.float().eval().requires_grad_(False)


def _named(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights under our names; the pooler, position ids and heads for pretraining are left out."""
    embeddings = {
        "words": "word_embeddings",
        "positions": "position_embeddings",
        "kinds": "token_type_embeddings",
        "norm": "LayerNorm",
    }
    parts = {
        "query": "attention.self.query",
        "key": "attention.self.key",
        "value": "attention.self.value",
        "out": "attention.output.dense",
        "attention_norm": "attention.output.LayerNorm",
        "first": "intermediate.dense",
        "second": "output.dense",
        "norm": "output.LayerNorm",
    }
    ours = {f"embeddings.{theirs}": name for name, theirs in embeddings.items()}
    found: dict[str, Tensor] = {}
    for name, weight in weights.items():
        stem, _, kind = name.rpartition(".")
        if stem in ours:
            found[f"{ours[stem]}.{kind}"] = weight
        elif stem.startswith("encoder.layer."):
            number, _, rest = stem.removeprefix("encoder.layer.").partition(".")
            place = next((own for own, theirs in parts.items() if theirs == rest), None)
            if place is not None:
                found[f"layers.{number}.{place}.{kind}"] = weight
    return found

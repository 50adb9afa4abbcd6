"""The shape of a decoder, without torch: what a preset names, a checkpoint stores and `build` takes."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class DecoderConfig(BaseModel):
    """Dimensions and constants of one decoder-only transformer (counts are units, not bytes).

    Defaults are AFM's (2407.21075 sec 2: tied embeddings, pre-norm RMSNorm, query/key normalisation, 8 KV heads,
    SwiGLU, RoPE base 500,000, no biases) and, where the report is silent, axlearn's `honeycrisp.py` (RMSNorm eps
    1e-5).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    family: Literal["afm"] = "afm"
    vocab_size: int = Field(gt=0)
    width: int = Field(gt=0, description="model dimension")
    layers: int = Field(gt=0)
    heads: int = Field(gt=0, description="query heads")
    kv_heads: int = Field(gt=0, description="key/value heads; divides heads")
    head_dim: int = Field(gt=0, description="dimension of one head; even, because RoPE rotates pairs")
    ffn_width: int = Field(gt=0, description="hidden dimension of the SwiGLU")
    rope_base: float = Field(default=500_000.0, gt=1.0)
    norm_eps: float = Field(default=1e-5, gt=0.0)
    tied_embeddings: bool = True
    max_sequence_length: int = Field(default=4096, gt=0)

    @model_validator(mode="after")
    def _shapes_fit(self) -> Self:
        if self.heads % self.kv_heads:
            raise ValueError(f"heads ({self.heads}) must be a multiple of kv_heads ({self.kv_heads})")
        if self.head_dim % 2:
            raise ValueError(f"head_dim ({self.head_dim}) must be even: RoPE rotates pairs of coordinates")
        return self

    def parameters(self) -> int:
        """Number of trainable parameters (norm scales included), without building the model."""
        attention = self.width * self.head_dim * (2 * self.heads + 2 * self.kv_heads)
        norms = 2 * self.width + 2 * self.head_dim
        layer = attention + 3 * self.width * self.ffn_width + norms
        embeddings = self.vocab_size * self.width * (1 if self.tied_embeddings else 2)
        return self.layers * layer + self.width + embeddings

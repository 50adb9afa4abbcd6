"""The decoder-only transformer that every family is a configuration of."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.device import product_dtype
from trainer.loss import TokenLoss, linear_cross_entropy
from trainer.models.attention import Attention, KeyValueCache, Segments, document_mask, has_flash, segments
from trainer.models.config import DecoderConfig
from trainer.models.mlp import SwiGLU
from trainer.models.norm import RMSNorm
from trainer.models.rope import rotation


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)): pre-norm."""

    def __init__(self, config: DecoderConfig, layer: int, device: torch.device | str | None = None) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(config.width, config.norm_eps, device)
        self.attention = Attention(config, layer, device)
        self.mlp_norm = RMSNorm(config.width, config.norm_eps, device)
        self.mlp = SwiGLU(config.width, config.ffn_width, device)

    def forward(
        self, x: Tensor, rotation: tuple[Tensor, Tensor], mask: Tensor | Segments | None, cache: KeyValueCache | None
    ) -> Tensor:
        """[batch, n, width] -> [batch, n, width]."""
        x = x + self.attention(self.attention_norm(x), rotation, mask, cache)
        return x + self.mlp(self.mlp_norm(x))


class Decoder(nn.Module):
    """Token ids in, logits or the loss out. With tied embeddings there is one matrix and no copy of it anywhere."""

    def __init__(self, config: DecoderConfig, device: torch.device | str | None = None) -> None:
        super().__init__()
        self.config = config
        self.compiled = False
        """Whether torch compiles the layers (`trainer.device.compile_layers`)."""
        self.embedding = nn.Embedding(config.vocab_size, config.width, device=device)
        self.layers = nn.ModuleList(Block(config, layer, device) for layer in range(config.layers))
        self.norm = RMSNorm(config.width, config.norm_eps, device)
        self.output = (
            None if config.tied_embeddings else nn.Linear(config.width, config.vocab_size, bias=False, device=device)
        )

    @property
    def output_weight(self) -> Tensor:
        """The [vocabulary, width] matrix of the output layer: the embedding itself when tied."""
        return self.embedding.weight if self.output is None else self.output.weight

    def hidden(
        self, input_ids: Tensor, document_ids: Tensor | None = None, cache: KeyValueCache | None = None
    ) -> Tensor:
        """Normalised last hidden states: int64 [batch, n] -> [batch, n, width].

        `document_ids` [batch, n] keeps attention inside each document, whose tokens lie side by side in a row; they
        may stay on the CPU, and a GPU then need not be waited for. Positions count through the packed sequence:
        RoPE sees differences only, so inside a document they are the same as when counted from its start. With a
        cache the new tokens follow those it holds (one sequence a row, no document ids).
        """
        past = 0 if cache is None else cache.length
        n = input_ids.shape[1]
        positions = torch.arange(past, past + n, device=input_ids.device)
        turn = rotation(positions, self.config.head_dim, self.config.rope_base)
        mask: Tensor | Segments | None = None
        if document_ids is not None:
            if cache is not None:
                raise ValueError("document_ids and a cache cannot be combined: a cache continues one document a row")
            device, dtype = input_ids.device, product_dtype(self.embedding.weight)
            if has_flash(device, dtype, self.config.head_dim):
                mask = segments(document_ids, device)
                if self.compiled:
                    torch._dynamo.maybe_mark_dynamic(mask.starts, 0)  # pyright: ignore[reportPrivateUsage]
            else:
                mask = document_mask(document_ids.to(device))
        elif past and n > 1:
            keys = torch.arange(past + n, device=input_ids.device)
            mask = (keys[None, :] <= positions[:, None])[None, None]
        x = self.embedding(input_ids)
        for block in self.layers:
            x = block(x, turn, mask, cache)
        return self.norm(x)

    def forward(
        self,
        input_ids: Tensor,
        document_ids: Tensor | None = None,
        labels: Tensor | None = None,
        z_loss: float = 0.0,
        cache: KeyValueCache | None = None,
    ) -> Tensor | TokenLoss:
        """Logits [batch, n, vocabulary] or, where labels int64 [batch, n] are given, their summed loss (`TokenLoss`).

        The loss is computed in here, not outside, so that wrappers which gather parameters around `forward` (FSDP)
        cover the output layer too, and so that a batch's logits never exist as a whole.
        """
        hidden = self.hidden(input_ids, document_ids, cache)
        if labels is None:
            return F.linear(hidden, self.output_weight)
        return linear_cross_entropy(hidden.flatten(0, 1), self.output_weight, labels.flatten(), z_loss)


def initialize(model: Decoder, seed: int) -> None:
    """Fill the weights in place: normal, std 1/sqrt(fan-in) for matrices, 1/sqrt(width) for the embedding; norms 1.

    Source: axlearn honeycrisp (fan-in scaled normal; `common/embedding.py` takes the embedding's output side, which
    is the fan-in of the tied output layer, so logits start at unit scale). Drawn on the CPU from one seeded generator
    in parameter order: the same weights on every device.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.fill_(1.0)
                continue
            fan_in = parameter.shape[1]
            drawn = torch.empty(parameter.shape, dtype=torch.float32).normal_(0.0, fan_in**-0.5, generator=generator)
            parameter.copy_(drawn)

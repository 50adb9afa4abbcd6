"""Text from a model: greedy or sampled, with a key/value cache."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

from trainer.checkpoint import load_model
from trainer.device import autocast, resolve_device
from trainer.errors import CheckpointError, RequestError
from trainer.models.attention import KeyValueCache
from trainer.models.decoder import Decoder
from trainer.special_tokens import special_token
from trainer.summary import Generated


def choose(logits: Tensor, temperature: float, top_p: float, generator: torch.Generator) -> int:
    """One token id from logits [vocabulary].

    Temperature 0 takes the largest. Else softmax(logits / temperature) is cut to the smallest set of most likely
    tokens whose probability reaches `top_p` (nucleus sampling, Holtzman et al. 1904.09751) and drawn from on the CPU
    in float64, so that a seed gives one text on every device.
    """
    values = logits.detach().to("cpu", torch.float64)
    if temperature == 0.0:
        return int(values.argmax())
    ordered, ids = torch.softmax(values / temperature, dim=-1).sort(descending=True, stable=True)
    before = ordered.cumsum(dim=-1) - ordered
    ordered = ordered.masked_fill(before >= top_p, 0.0)
    return int(ids[torch.multinomial(ordered, 1, generator=generator)])


def sample(
    model: Decoder,
    prompt: list[int],
    *,
    tokens: int,
    temperature: float = 0.8,
    top_p: float = 0.95,
    seed: int = 0,
    stop: int | None = None,
    banned: tuple[int, ...] = (),
) -> list[int]:
    """Up to `tokens` ids after a prompt of ids.

    Ends early at `stop` (kept out of the result); ids in `banned` are never chosen.
    ValueError for an empty prompt or ids outside the vocabulary.
    """
    vocabulary = model.config.vocab_size
    if not prompt or min(prompt) < 0 or max(prompt) >= vocabulary:
        raise ValueError(f"the prompt must be one or more token ids in 0..{vocabulary - 1}")
    device = model.embedding.weight.device
    generator = torch.Generator().manual_seed(seed)
    cache = KeyValueCache(model.config.layers)
    out: list[int] = []
    training = model.training
    model.eval()
    # A compiled layer would be compiled again for every length of the cache.
    with torch.no_grad(), autocast(device), torch.compiler.set_stance("force_eager"):
        feed = prompt
        while len(out) < tokens:
            logits = model(torch.tensor([feed], device=device), cache=cache)[0, -1].float()
            if banned:
                logits[list(banned)] = float("-inf")
            token = choose(logits, temperature, top_p, generator)
            if token == stop:
                break
            out.append(token)
            feed = [token]
    model.train(training)
    return out


def continue_text(
    model: Decoder,
    tokenizer: Tokenizer,
    prompt: str,
    *,
    tokens: int,
    temperature: float = 0.8,
    top_p: float = 0.95,
    seed: int = 0,
    stop_at_eos: bool = True,
) -> Generated:
    """Continue a text.

    With `stop_at_eos=False` the end-of-text token is never chosen, so that exactly `tokens` tokens come out.

    Raises:
        RequestError: the prompt encodes to nothing.
    """
    ids = tokenizer.encode(prompt, add_special_tokens=False).ids
    if not ids:
        raise RequestError(f"the prompt {prompt!r} encodes to no token; give some text")
    eos = special_token(tokenizer, "eos")
    special = tuple(i for i, t in sorted(tokenizer.get_added_tokens_decoder().items()) if t.special and i != eos)
    # A model's vocabulary may be padded beyond the tokenizer's: those ids mean nothing.
    padding = tuple(range(tokenizer.get_vocab_size(), model.config.vocab_size))
    stopping = stop_at_eos and eos is not None
    banned = special + padding + (() if stopping or eos is None else (eos,))
    out = sample(
        model,
        ids,
        tokens=tokens,
        temperature=temperature,
        top_p=top_p,
        seed=seed,
        stop=eos if stopping else None,
        banned=banned,
    )
    # Decoding both together keeps spaces and multi-byte characters that meet at the seam.
    whole = tokenizer.decode(ids + out, skip_special_tokens=True)
    start = tokenizer.decode(ids, skip_special_tokens=True)
    text = whole[len(start) :] if whole.startswith(start) else tokenizer.decode(out, skip_special_tokens=True)
    return Generated(prompt=prompt, text=text, tokens=len(out))


def generate(
    checkpoint: Path | str,
    prompt: str,
    *,
    tokens: int = 100,
    temperature: float = 0.8,
    top_p: float = 0.95,
    seed: int = 0,
    device: str = "auto",
) -> Generated:
    """Continue a text with a saved model.

    That is a `train/model` folder, a checkpoint, or any AFM-shaped folder in transformers' layout.

    Raises:
        CheckpointError: model or tokenizer.json is missing or unreadable.
    """
    folder = Path(checkpoint)
    tokenizer_file = folder / "tokenizer.json"
    if not tokenizer_file.is_file():
        raise CheckpointError(f"{tokenizer_file}: not found; generation needs the tokenizer beside the model")
    model = load_model(folder, resolve_device(device))
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    return continue_text(model, tokenizer, prompt, tokens=tokens, temperature=temperature, top_p=top_p, seed=seed)

"""The AFM family: presets, and the map to and from transformers' Qwen3 class.

transformers has no Apple class. `Qwen3ForCausalLM` has AFM's shape (pre-norm RMSNorm, query/key RMSNorm a head, GQA,
SwiGLU, RoPE, tied embeddings, no biases), so a checkpoint saved in its layout opens in transformers, vLLM and the
rest. One difference to axlearn: Qwen3 normalises queries and keys before the rotation, axlearn's
`scale_query`/`scale_key` after it. The RMS does not change under a rotation, so the two differ only in where the
learned scale (initially 1) applies.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from trainer.models.config import DecoderConfig

ARCHITECTURE = "Qwen3ForCausalLM"
MODEL_TYPE = "qwen3"

PRESETS: Mapping[str, DecoderConfig] = {
    # 2407.21075 table of sec 2 (dim 3072, head dim 128, 24 query and 8 KV heads, 26 layers, vocabulary 49k). The FFN
    # width is not printed there: 8064 is from axlearn's honeycrisp-3B, whose other dimensions are the same, and gives
    # the printed 2.58B.
    "afm-on-device": DecoderConfig(
        vocab_size=48 * 1024, width=3072, layers=26, heads=24, kv_heads=8, head_dim=128, ffn_width=8064
    ),
    # axlearn honeycrisp-85M, the proxy on which the recipe's learning rate was found: FFN 3.0 x width.
    "honeycrisp-85m": DecoderConfig(
        vocab_size=48 * 1024, width=768, layers=12, heads=12, kv_heads=6, head_dim=64, ffn_width=2304
    ),
    # Ours: AFM's shape at laptop size, FFN 3.0 x width as honeycrisp-85M. About 1.3, 2.6 and 5.1 million parameters.
    "afm-tiny-1m": DecoderConfig(
        vocab_size=4096,
        width=128,
        layers=4,
        heads=4,
        kv_heads=2,
        head_dim=32,
        ffn_width=384,
        max_sequence_length=1024,
    ),
    "afm-tiny-3m": DecoderConfig(
        vocab_size=4096,
        width=192,
        layers=4,
        heads=6,
        kv_heads=2,
        head_dim=32,
        ffn_width=576,
        max_sequence_length=1024,
    ),
    "afm-tiny-5m": DecoderConfig(
        vocab_size=8192,
        width=256,
        layers=4,
        heads=8,
        kv_heads=4,
        head_dim=32,
        ffn_width=768,
        max_sequence_length=1024,
    ),
}

_TOP = {
    "embedding.weight": "model.embed_tokens.weight",
    "norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_LAYER = {
    "attention_norm": "input_layernorm",
    "attention.query": "self_attn.q_proj",
    "attention.key": "self_attn.k_proj",
    "attention.value": "self_attn.v_proj",
    "attention.output": "self_attn.o_proj",
    "attention.query_norm": "self_attn.q_norm",
    "attention.key_norm": "self_attn.k_norm",
    "mlp_norm": "post_attention_layernorm",
    "mlp.gate": "mlp.gate_proj",
    "mlp.up": "mlp.up_proj",
    "mlp.down": "mlp.down_proj",
}
_LAYER_BACK = {theirs: ours for ours, theirs in _LAYER.items()}
_TOP_BACK = {theirs: ours for ours, theirs in _TOP.items()}


def to_hf_name(name: str) -> str:
    """Name in transformers of one of our parameters. KeyError for a name that the family does not have."""
    if name in _TOP:
        return _TOP[name]
    match = re.fullmatch(r"layers\.(\d+)\.(.+)\.weight", name)
    if match is None or match[2] not in _LAYER:
        raise KeyError(f"parameter {name!r} is not part of the afm family")
    return f"model.layers.{match[1]}.{_LAYER[match[2]]}.weight"


def from_hf_name(name: str) -> str:
    """Our name of a parameter in transformers. KeyError for a tensor that the family does not have."""
    if name in _TOP_BACK:
        return _TOP_BACK[name]
    match = re.fullmatch(r"model\.layers\.(\d+)\.(.+)\.weight", name)
    if match is None or match[2] not in _LAYER_BACK:
        raise KeyError(f"tensor {name!r} is not part of a {ARCHITECTURE} without biases")
    return f"layers.{match[1]}.{_LAYER_BACK[match[2]]}.weight"


def to_hf_config(config: DecoderConfig, dtype: str = "float32") -> dict[str, Any]:
    """The config.json of the model; RoPE's base both as `rope_theta` (transformers 4) and `rope_parameters` (5)."""
    return {
        "architectures": [ARCHITECTURE],
        "model_type": MODEL_TYPE,
        "vocab_size": config.vocab_size,
        "hidden_size": config.width,
        "intermediate_size": config.ffn_width,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_dim,
        "hidden_act": "silu",
        "max_position_embeddings": config.max_sequence_length,
        "rms_norm_eps": config.norm_eps,
        "rope_theta": config.rope_base,
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_base},
        "tie_word_embeddings": config.tied_embeddings,
        "attention_bias": False,
        "attention_dropout": 0.0,
        "use_sliding_window": False,
        "use_cache": True,
        "torch_dtype": dtype,
    }


def from_hf_config(found: Mapping[str, Any], where: str) -> DecoderConfig:
    """Our configuration of a Qwen3 config.json; `where` names the file in errors.

    Raises:
        ValueError: another architecture, or a feature that the family does not have (biases, sliding window, scaled
        RoPE).
    """

    def refuse(field: str, expected: str) -> ValueError:
        return ValueError(
            f"{where}: {field} is {found.get(field)!r}, expected {expected}; this is not an AFM-shaped model"
        )

    if found.get("model_type") != MODEL_TYPE:
        raise refuse("model_type", repr(MODEL_TYPE))
    if found.get("hidden_act", "silu") != "silu":
        raise refuse("hidden_act", "'silu'")
    if found.get("attention_bias"):
        raise refuse("attention_bias", "false")
    if found.get("use_sliding_window"):
        raise refuse("use_sliding_window", "false")
    if found.get("rope_scaling"):
        raise refuse("rope_scaling", "null")
    rope = cast("Mapping[str, Any]", found.get("rope_parameters") or {})
    if rope.get("rope_type", "default") != "default":
        raise refuse("rope_parameters", "rope_type 'default'")
    heads = int(found["num_attention_heads"])
    return DecoderConfig(
        vocab_size=found["vocab_size"],
        width=found["hidden_size"],
        layers=found["num_hidden_layers"],
        heads=heads,
        kv_heads=found.get("num_key_value_heads") or heads,
        head_dim=found.get("head_dim") or found["hidden_size"] // heads,
        ffn_width=found["intermediate_size"],
        rope_base=float(rope.get("rope_theta", found.get("rope_theta", 10_000.0))),
        norm_eps=found["rms_norm_eps"],
        tied_embeddings=found.get("tie_word_embeddings", False),
        max_sequence_length=found["max_position_embeddings"],
    )

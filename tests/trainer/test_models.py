from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from trainer.errors import CheckpointError
from trainer.models import PRESETS, build, load_hf, preset, save_hf
from trainer.models.attention import KeyValueCache, document_mask, segments
from trainer.models.config import DecoderConfig
from trainer.models.decoder import Decoder
from trainer.models.families import afm
from trainer.models.rope import extended_base, rotate, rotation

SMALL = DecoderConfig(
    vocab_size=300, width=48, layers=3, heads=6, kv_heads=2, head_dim=8, ffn_width=80, max_sequence_length=64
)


def small(seed: int = 0, **changes: object) -> Decoder:
    """A small model whose norm scales are not all one, so that their place matters."""
    model = build(SMALL.model_copy(update=changes), seed=seed)
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model


def tokens(rows: int = 2, n: int = 24, seed: int = 3) -> Tensor:
    return torch.randint(0, SMALL.vocab_size, (rows, n), generator=torch.Generator().manual_seed(seed))


def test_afm_on_device_has_the_published_parameter_counts() -> None:
    model = build("afm-on-device", device="meta")
    counts = {name: parameter.numel() for name, parameter in model.named_parameters()}
    matrices = sum(n for name, n in counts.items() if "norm" not in name and name != "embedding.weight")
    norms = sum(n for name, n in counts.items() if "norm" in name)
    assert matrices == 2_586_574_848
    assert counts["embedding.weight"] == 150_994_944
    assert norms == 26 * (2 * 3072 + 2 * 128) + 3072
    assert sum(counts.values()) == matrices + norms + 150_994_944 == model.config.parameters()


def test_honeycrisp_proxy_has_85_million() -> None:
    config = preset("honeycrisp-85m")
    assert config.parameters() - config.vocab_size * config.width == pytest.approx(85e6, rel=0.002)


@pytest.mark.parametrize("name", [name for name in PRESETS if "tiny" in name])
def test_tiny_presets_have_1_to_5_million(name: str) -> None:
    model = build(name, device="meta")
    assert 1e6 <= sum(parameter.numel() for parameter in model.parameters()) <= 5.3e6
    assert sum(parameter.numel() for parameter in model.parameters()) == PRESETS[name].parameters()


def test_a_wrong_preset_names_the_right_ones() -> None:
    with pytest.raises(ValueError, match="afm-on-device"):
        build("afm-on-devise")


def test_context_stage_rope_base() -> None:
    assert round(extended_base(500_000, 8192, 32768)) == 6_315_089
    assert extended_base(500_000, 8192, 8192) == pytest.approx(500_000)
    with pytest.raises(ValueError, match="2pi"):
        extended_base(500_000, 6, 100)


def test_rotation_is_the_complex_one_in_float64() -> None:
    positions, dim, base = torch.tensor([0, 1, 7, 4095]), 16, 500_000.0
    x = torch.randn(4, dim, generator=torch.Generator().manual_seed(0))
    turned = rotate(x, *rotation(positions, dim, base)).double()
    frequencies = base ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
    pairs = torch.complex(x[:, : dim // 2].double(), x[:, dim // 2 :].double())
    expected = pairs * torch.exp(1j * positions[:, None] * frequencies)
    torch.testing.assert_close(turned, torch.cat((expected.real, expected.imag), -1), rtol=0, atol=2e-3)
    torch.testing.assert_close(turned[:3], torch.cat((expected.real, expected.imag), -1)[:3], rtol=0, atol=1e-6)


@pytest.mark.parametrize("tied", [True, False])
def test_logits_agree_with_transformers_both_ways(tmp_path: Path, tied: bool) -> None:
    transformers = pytest.importorskip("transformers")
    model = small(tied_embeddings=tied)
    save_hf(model, tmp_path / "ours")
    theirs = transformers.Qwen3ForCausalLM.from_pretrained(tmp_path / "ours", dtype=torch.float32)
    assert theirs.config.rope_parameters["rope_theta"] == 500_000
    ids = tokens()
    with torch.no_grad():
        torch.testing.assert_close(model(ids), theirs(ids).logits, rtol=0, atol=1e-5)
        theirs.save_pretrained(tmp_path / "theirs")
        again = load_hf(tmp_path / "theirs")
        assert again.config == model.config
        torch.testing.assert_close(again(ids), model(ids), rtol=0, atol=0)


def test_saving_and_loading_keeps_weights_and_the_tie(tmp_path: Path) -> None:
    model = small()
    loaded = load_hf(save_hf(model, tmp_path))
    assert loaded.output is None
    assert loaded.output_weight.data_ptr() == loaded.embedding.weight.data_ptr()
    for (name, a), (_, b) in zip(model.named_parameters(), loaded.named_parameters(), strict=True):
        assert torch.equal(a, b), name
    logits = loaded(tokens())
    logits.square().mean().backward()  # both uses of the matrix reach the one gradient
    with torch.no_grad():
        loaded.embedding.weight.mul_(2.0)
        assert not torch.equal(loaded(tokens()), logits)


def test_the_weight_map_is_a_bijection() -> None:
    for name in build(SMALL.model_copy(update={"tied_embeddings": False}), device="meta").state_dict():
        assert afm.from_hf_name(afm.to_hf_name(name)) == name
    with pytest.raises(KeyError, match="bias"):
        afm.from_hf_name("model.layers.0.self_attn.q_proj.bias")
    with pytest.raises(KeyError, match="router"):
        afm.to_hf_name("layers.0.router.weight")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model_type", "llama"),
        ("attention_bias", True),
        ("use_sliding_window", True),
        ("hidden_act", "gelu"),
        ("rope_parameters", {"rope_type": "yarn", "rope_theta": 1e6}),
        ("rope_scaling", {"type": "linear", "factor": 2}),
    ],
)
def test_other_architectures_are_refused_by_field(tmp_path: Path, field: str, value: object) -> None:
    save_hf(small(), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, field: value}))
    with pytest.raises(CheckpointError, match=field):
        load_hf(tmp_path)


def test_damaged_folders_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"config\.json: not found"):
        load_hf(tmp_path)
    save_hf(small(), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 4}))
    with pytest.raises(CheckpointError, match=r"tensors are missing, the first is model\.layers\.3\."):
        load_hf(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({**config, "intermediate_size": 81}))
    with pytest.raises(CheckpointError, match=r"mlp\.\w+_proj\.weight has shape .*expects shape"):
        load_hf(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="neither"):
        load_hf(tmp_path)


def test_document_mask_by_hand() -> None:
    seen = document_mask(torch.tensor([[4, 4, 9, 9, 9]]))[0, 0].int().tolist()
    assert seen == [[1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 1, 1, 0], [0, 0, 1, 1, 1]]


def test_segments_are_the_documents_row_by_row() -> None:
    found = segments(torch.tensor([[4, 4, 9, 9, 9], [9, 9, 2, -1, -1]]), torch.device("cpu"))
    assert found.starts.dtype == torch.int32
    assert found.starts.tolist() == [0, 2, 5, 7, 8, 10]  # the document 9 goes on in another row: that is another one
    assert found.longest == 5


@given(
    st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=5), min_size=1, max_size=4),
    st.integers(1, 12),
)
def test_segments_show_what_the_mask_shows(rows: list[list[int]], n: int) -> None:
    """Each place may look back to the start of its segment, and no further."""
    made = [[k for k, length in enumerate(row) for _ in range(length)][:n] for row in rows]
    documents = torch.tensor([row + [-1] * (n - len(row)) for row in made])
    starts = segments(documents, torch.device("cpu")).starts
    places = torch.arange(documents.numel())
    mine = torch.searchsorted(starts, places, right=True) - 1
    shown = (mine[:, None] == mine[None, :]) & (places[:, None] >= places[None, :])
    expected = torch.block_diag(*document_mask(documents)[:, 0].int()).bool()
    assert torch.equal(shown, expected)


def test_tokens_after_a_boundary_do_not_see_before_it() -> None:
    model = small().eval()
    ids, documents = tokens(1, 20), torch.tensor([[0] * 8 + [1] * 12])
    changed = ids.clone()
    changed[0, :8] = (changed[0, :8] + 17) % SMALL.vocab_size
    with torch.no_grad():
        a, b = model(ids, document_ids=documents), model(changed, document_ids=documents)
        assert torch.equal(a[:, 8:], b[:, 8:])
        assert not torch.allclose(a[:, :8], b[:, :8])
        # Without the mask the change shows: the comparison above can fail.
        assert not torch.allclose(model(ids)[:, 8:], model(changed)[:, 8:])
        # A packed document has the logits that it has alone: positions relative to its start do not matter.
        torch.testing.assert_close(a[:, 8:], model(ids[:, 8:]), rtol=0, atol=2e-5)


def test_no_token_sees_a_later_one() -> None:
    model = small().eval()
    ids = tokens(1, 16)
    changed = ids.clone()
    changed[0, 10:] = (changed[0, 10:] + 5) % SMALL.vocab_size
    with torch.no_grad():
        for documents in (None, torch.zeros(1, 16, dtype=torch.int64)):
            assert torch.equal(model(ids, documents)[:, :10], model(changed, documents)[:, :10])


def test_cache_gives_the_same_logits_in_any_split() -> None:
    model = small().eval()
    ids = tokens(2, 21)
    with torch.no_grad():
        whole = model(ids)
        for split in ([21], [1] * 21, [5, 1, 1, 8, 6]):
            cache = KeyValueCache(SMALL.layers)
            parts = [model(part, cache=cache) for part in ids.split(split, dim=1)]
            assert cache.length == 21
            torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=0, atol=2e-5)
        with pytest.raises(ValueError, match="cannot be combined"):
            model(ids, document_ids=torch.zeros_like(ids), cache=KeyValueCache(SMALL.layers))


def test_initial_weights_have_fan_in_scale_and_the_first_loss_is_near_ln_v() -> None:
    model = build("afm-tiny-3m", seed=5)
    config = model.config
    assert float(model.embedding.weight.detach().std()) == pytest.approx(config.width**-0.5, rel=0.01)
    for name, parameter in model.named_parameters():
        if parameter.dim() == 2 and name != "embedding.weight":
            assert float(parameter.detach().std()) == pytest.approx(parameter.shape[1] ** -0.5, rel=0.03), name
        elif parameter.dim() == 1:
            assert bool((parameter == 1).all()), name
    ids = torch.randint(0, config.vocab_size, (2, 64), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        loss = model(ids[:, :-1], labels=ids[:, 1:])
    # Unit-variance logits: ln V + 1/2.
    assert float(loss.cross_entropy) / loss.per_token.numel() == pytest.approx(
        math.log(config.vocab_size) + 0.5, abs=0.2
    )


def test_the_same_seed_builds_the_same_model() -> None:
    a, b, c = build(SMALL, seed=1), build(SMALL, seed=1), build(SMALL, seed=2)
    assert torch.equal(a.layers[2].mlp.down.weight, b.layers[2].mlp.down.weight)
    assert not torch.equal(a.embedding.weight, c.embedding.weight)


@pytest.mark.parametrize(("changes", "message"), [({"kv_heads": 4}, "multiple of kv_heads"), ({"head_dim": 7}, "even")])
def test_shapes_that_do_not_fit_are_refused(changes: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DecoderConfig(**{**SMALL.model_dump(), **changes})

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from trainer.models import preset
from trainer.recipe import ModelConfig, StageConfig, TrainConfig


def test_the_empty_section_is_the_afm_recipe() -> None:
    config = TrainConfig.model_validate({})
    core, continued = config.stages["core"], config.stages["continued"]
    assert list(config.stages) == ["core", "continued"]
    assert (core.peak_lr, core.warmup_steps, core.decay_to, core.weight_decay) == (0.01, 5000, 0.005, 3.16e-4)
    assert (core.sequence_length, core.batch_size, core.tokens) == (4096, 4096, 6_300_000_000_000)
    assert core.resolve_steps(windows=1) == 375_509  # the report's about 375.5k steps of 16.8M tokens
    assert (continued.peak_lr, continued.warmup_steps, continued.decay_to) == (3e-4, 1000, 0.001)
    assert (continued.weight_decay, continued.sequence_length, continued.tokens) == (1e-5, 8192, 10**12)
    optimizer = config.optimizer
    assert (optimizer.square_decay, optimizer.momentum, optimizer.update_clip) == (0.95, 0.95, 1.0)
    assert (optimizer.clip_norm, optimizer.drop_norm, optimizer.epsilon) == (1.0, 100.0, 1e-30)
    assert config.z_loss == 1e-6
    model = config.model.resolve(vocab_size=49_152, sequence_length=8192)
    assert model == preset("afm-on-device").model_copy(update={"max_sequence_length": 8192})


def test_stages_keep_the_defaults_that_they_do_not_state() -> None:
    config = TrainConfig.model_validate({"stages": {"core": {"steps": 100, "warmup_steps": 10}, "continued": None}})
    assert config.stages["core"].tokens is None
    assert config.stages["core"].peak_lr == 0.01
    assert config.stages["continued"].peak_lr == 3e-4
    again = TrainConfig.model_validate(config.model_dump())
    assert again == config


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ({"sead": 1}, ("sead",)),
        ({"stages": {"core": {"peek_lr": 1}}}, ("stages", "core", "peek_lr")),
        ({"stages": {"core": {"peak_lr": "fast"}}}, ("stages", "core", "peak_lr")),
        ({"stages": {"anneal": {"steps": 5}}}, ("stages", "anneal", "peak_lr")),
        ({"stages": {"core": {"steps": 5}}}, ("stages", "core")),  # the default warm-up of 5,000 is longer
        ({"stages": {"core": {"steps": 5, "epochs": 1, "warmup_steps": 1}}}, ("stages", "core")),
        ({"stages": {"core": {"batch_size": 6, "micro_batch_size": 4}}}, ("stages", "core")),
        ({"stages": []}, ("stages",)),
        ({"stages": {}}, ("stages",)),
        ({"heldout": {"stage": "core"}}, ()),
        ({"model": {"preset": "afm-tiny"}}, ("model",)),
        ({"model": {"width": 64}}, ("model",)),
        ({"model": {"preset": "afm-tiny-1m", "kv_heads": 3}}, ("model",)),
        ({"generate": {"prompt": ""}}, ("generate", "prompt")),
    ],
)
def test_mistakes_are_answered_with_their_path(raw: dict[str, object], path: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError) as caught:
        TrainConfig.model_validate(raw)
    assert path in [error["loc"] for error in caught.value.errors()]


def test_a_missing_dimension_is_named() -> None:
    with pytest.raises(ValidationError, match="give a preset or these dimensions too: layers, ffn_width"):
        ModelConfig.model_validate({"width": 64, "heads": 2, "kv_heads": 1, "head_dim": 32})


def test_a_preset_can_be_changed_field_by_field() -> None:
    model = ModelConfig(preset="afm-tiny-1m", layers=2, tied_embeddings=False)
    found = model.resolve(vocab_size=1000, sequence_length=2048)
    assert found.layers == 2
    assert not found.tied_embeddings
    assert found.vocab_size == 1000
    assert found.max_sequence_length == 2048
    assert found.width == preset("afm-tiny-1m").width


@pytest.mark.parametrize(
    ("duration", "steps"), [({"steps": 7}, 7), ({"tokens": 1000}, 3), ({"epochs": 2.0}, 20), ({"epochs": 0.001}, 1)]
)
def test_durations_become_steps(duration: dict[str, float], steps: int) -> None:
    stage = StageConfig(
        peak_lr=0.01, warmup_steps=0, decay_to=0.1, weight_decay=0.0, sequence_length=64, batch_size=5, **duration
    )
    assert stage.resolve_steps(windows=50) == steps


def test_recipe_and_data_import_without_torch() -> None:
    code = "import sys, trainer.recipe, trainer.data, trainer.models, trainer.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

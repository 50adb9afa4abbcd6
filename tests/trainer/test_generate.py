from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

from trainer.errors import CheckpointError, RequestError
from trainer.generate import choose, continue_text, generate, sample
from trainer.models import build, save_hf
from trainer.models.config import DecoderConfig
from trainer.models.decoder import Decoder


@pytest.fixture
def model() -> Decoder:
    config = DecoderConfig(vocab_size=530, width=32, layers=2, heads=4, kv_heads=2, head_dim=8, ffn_width=64)
    return build(config, seed=3)


@pytest.fixture
def tokenizer(token_run: Path) -> Tokenizer:
    return Tokenizer.from_file(str(token_run / "tokenizer" / "tokenizer.json"))


def test_greedy_is_the_argmax_of_the_whole_forward_pass(model: Decoder) -> None:
    out = sample(model, [5, 9, 200], tokens=15, temperature=0.0)
    ids = [5, 9, 200]
    with torch.no_grad():
        for _ in range(15):
            ids.append(int(model(torch.tensor([ids]))[0, -1].argmax()))
    assert out == ids[3:]


def test_a_seed_gives_one_text_and_another_seed_another(model: Decoder) -> None:
    texts = [sample(model, [5], tokens=20, temperature=1.0, seed=seed) for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]
    assert model.training  # left as it was


def test_nucleus_takes_the_smallest_set_that_reaches_top_p() -> None:
    logits = torch.log(torch.tensor([0.05, 0.5, 0.15, 0.3]))
    generator = torch.Generator().manual_seed(0)
    drawn = [choose(logits, 1.0, 0.75, generator) for _ in range(4000)]
    counts = torch.bincount(torch.tensor(drawn), minlength=4).double() / len(drawn)
    assert counts[[0, 2]].sum() == 0  # 0.5 + 0.3 reach 0.75
    assert float(counts[1]) == pytest.approx(0.5 / 0.8, abs=0.03)
    everything = torch.bincount(torch.tensor([choose(logits, 1.0, 1.0, generator) for _ in range(4000)]), minlength=4)
    torch.testing.assert_close(
        everything.double() / 4000, torch.tensor([0.05, 0.5, 0.15, 0.3]).double(), atol=0.03, rtol=0
    )


def test_low_temperature_approaches_greedy() -> None:
    logits, generator = torch.tensor([1.0, 1.5, 0.2]), torch.Generator().manual_seed(0)
    assert {choose(logits, 0.01, 1.0, generator) for _ in range(200)} == {1}


def test_stop_and_banned_tokens(model: Decoder) -> None:
    free = sample(model, [7], tokens=10, temperature=0.0)
    stopped = sample(model, [7], tokens=10, temperature=0.0, stop=free[4])
    assert stopped == free[: free.index(free[4])]
    assert free[0] not in sample(model, [7], tokens=10, temperature=0.0, banned=(free[0],))


@pytest.mark.parametrize("prompt", [[], [-1], [530]])
def test_bad_prompts_are_refused(model: Decoder, prompt: list[int]) -> None:
    with pytest.raises(ValueError, match=r"0\.\.529"):
        sample(model, prompt, tokens=1)


def test_text_has_exactly_the_tokens_asked_and_none_outside_the_tokenizer(model: Decoder, tokenizer: Tokenizer) -> None:
    # The model's vocabulary (530) is larger than the tokenizer's (512): a random model would choose the rest too.
    found = continue_text(
        model, tokenizer, "The import statement", tokens=60, temperature=2.0, top_p=1.0, stop_at_eos=False
    )
    assert found.tokens == 60
    assert found.prompt == "The import statement"
    assert not found.text.startswith("The import")
    with pytest.raises(RequestError, match="encodes to no token"):
        continue_text(model, tokenizer, "", tokens=1)


def test_a_saved_model_continues_text(model: Decoder, token_run: Path, tmp_path: Path) -> None:
    save_hf(model, tmp_path, token_run / "tokenizer" / "tokenizer.json")
    one = generate(tmp_path, "The class", tokens=8, seed=4, device="cpu")
    assert one == generate(tmp_path, "The class", tokens=8, seed=4, device="cpu")
    assert one.tokens <= 8
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match=r"tokenizer\.json: not found"):
        generate(tmp_path, "The class")


def test_the_saved_tokenizer_opens_in_transformers(model: Decoder, token_run: Path, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    save_hf(model, tmp_path, token_run / "tokenizer" / "tokenizer.json")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer.eos_token == "<eos>"
    text = "def f(x):\n\treturn x * 1024  # größer"
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text
    config = transformers.AutoConfig.from_pretrained(tmp_path)
    assert config.eos_token_id == tokenizer.eos_token_id

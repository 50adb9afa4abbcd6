"""The tokenizer of a recipe: trained or given, its end of documents, and what it cannot spell."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from pipelines import recipe as recipes
from pipelines import tokenizer
from pipelines.engines.local import LocalEngine
from pipelines.recipe import TokenizerUse
from pipelines.recipe_errors import RecipeError
from pipelines.run import Options, build
from pipelines.steps.tokenize import LOSSY, Encode
from pipelines.storage import sha256
from tests import tiny


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A byte-level tokenizer with NFC, whose documents end in a token of another name."""
    made = Tokenizer(models.BPE({c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.normalizer = normalizers.NFC()
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(["<|endoftext|>", "<|done|>"])
    path = tmp_path_factory.mktemp("given") / "tokenizer.json"
    made.save(str(path))
    return path


def documents(*texts: str) -> pa.Table:
    names = [f"{number:032x}" for number in range(len(texts))]
    return pa.table({"id": names, "uri": names, "source": ["web"] * len(texts), "text": pa.array(texts)})


def test_what_tokens_do_not_spell_fails_by_name_or_is_kept_by_name(given: Path) -> None:
    table = documents("plain", "ab e\u0301", "caf\u00e9")
    failed = Encode("07-tokenize", str(given))(table)
    assert failed["tokens"]["id"].to_pylist() == [table["id"][0].as_py(), table["id"][2].as_py()]
    ledger = failed["ledger"].to_pylist()
    assert [(row["verdict"], row["reason"]) for row in ledger] == [("kept", ""), ("failed", LOSSY), ("kept", "")]
    assert json.loads(ledger[1]["evidence"]) == {"differs_at_byte": 3}
    kept = Encode("07-tokenize", str(given), keep_lossy=True)(table)
    assert kept["tokens"]["id"].to_pylist() == table["id"].to_pylist()
    assert [row["verdict"] for row in kept["ledger"].to_pylist()] == ["kept"] * 3
    assert json.loads(kept["ledger"].to_pylist()[1]["evidence"]) == {"differs_at_byte": 3}
    assert kept["tokens"]["count"].to_pylist() == [len(one) + 1 for one in kept["tokens"]["tokens"].to_pylist()]


def test_presets_are_afm_s_sizes() -> None:
    assert TokenizerUse(preset="afm-on-device").vocab_size == 49_152
    assert TokenizerUse(preset="afm-server").vocab_size == 100_000
    assert TokenizerUse.model_validate(TokenizerUse(preset="afm-server").model_dump()).vocab_size == 100_000
    with pytest.raises(ValueError, match="preset 'afm-server' has 100000 tokens, but vocab_size is 5000"):
        TokenizerUse(preset="afm-server", vocab_size=5000)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("{{file: {given}, preset: afm-server}}", "'file' is taken as it is; give either it or 'preset'"),
        ("{{file: {given}.gone}}", r"tokenizer.file: .*\.gone: no such file"),
        ("{{file: {recipe}}}", "not a tokenizer.json"),
        ("{{file: {given}, eos: <|dome|>}}", r"eos '<\|dome\|>' is no token of it; did you mean '<\|done\|>'\?"),
        ("{{file: {given}, eos: a}}", "eos 'a' is an ordinary token, which a text may hold"),
        ("{{file: {{path: {given}, sha256: '{zeros}'}}}}", r"has changed: found [0-9a-f]{64}, expected 0{64}"),
        ("{{eos: <end>}}", r"tokenizer.eos: no special token '<end>'.*a trained tokenizer has <pad>, <bos>, <eos>"),
    ],
)
def test_a_wrong_tokenizer_is_refused_before_anything_runs(
    given: Path, tmp_path: Path, settings: str, message: str
) -> None:
    path = tiny.write(tmp_path, archives=1, topics=4)
    said = settings.format(given=given, recipe=path, zeros="0" * 64)
    path.write_text(path.read_text().replace("{vocab_size: 600, sample_bytes: 200000}", said))
    with pytest.raises(RecipeError, match=message):
        recipes.load(path)


@pytest.mark.slow
def test_a_given_tokenizer_is_taken_byte_for_byte_and_ends_documents_with_its_token(
    given: Path, tmp_path: Path
) -> None:
    path = tiny.write(tmp_path, archives=2, topics=60)
    said = f"{{file: {{path: {given}, sha256: {sha256(given)}}}, eos: <|done|>}}"
    path.write_text(path.read_text().replace("{vocab_size: 600, sample_bytes: 200000}", said))
    run = build(recipes.load(path), Options(out=tmp_path / "run"), LocalEngine(workers=1))
    assert (run / "tokenizer" / "tokenizer.json").read_bytes() == given.read_bytes()
    library = tokenizer.load(given)
    done = library.token_to_id("<|done|>")
    manifest: dict[str, Any] = json.loads((run / "tokens" / "core" / "manifest.json").read_text())
    assert (manifest["eos_id"], manifest["vocab_size"]) == (done, 258)
    tokens = np.fromfile(run / "tokens" / "core" / manifest["shards"][0]["path"], "<u2")
    listing = pq.read_table(run / "tokens" / "core" / "documents.parquet")
    texts = {
        row["id"]: row["text"]
        for part in (run / "mixture" / "core").glob("*.parquet")
        for row in pq.read_table(part).to_pylist()
    }
    for row in listing.to_pylist():
        document = tokens[row["start"] : row["start"] + row["length"]]
        assert document[-1] == done
        assert library.decode(document[:-1].tolist(), skip_special_tokens=False) == texts[row["id"]]
    shutil.rmtree(run)

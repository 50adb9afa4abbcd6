"""`pomona label` against a server on this machine that speaks OpenAI's protocol, and misbehaves."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.label.graders import Answer, Checkpoint, Endpoint, GraderFailed
from pipelines.label.grading import PROMPT, Prompt, read_prompt, score_of
from pipelines.label.label import NO_SCORE, NOT_ASKED, Budget, Sums, label, read_texts
from pipelines.recipe_errors import RecipeError

KEY = "sk-not-to-be-told-1234567890"


class Server:
    """Answers by what the text asks for; counts what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.keys: list[str | None] = []
        self.bodies: list[dict[str, Any]] = []
        self.turns: dict[str, int] = {}
        self.lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                text = body["messages"][0]["content"].partition("<<<\n")[2].partition("\n>>>")[0]
                with server.lock:
                    server.asked.append(text)
                    server.bodies.append(body)
                    server.keys.append(self.headers.get("Authorization"))
                    turn = server.turns[text] = server.turns.get(text, 0) + 1
                status, content, headers = server.answer(text, turn)
                if self.path != "/v1/chat/completions":
                    status, content = 404, b"no such path"
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.http.serve_forever, daemon=True)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"

    @staticmethod
    def answer(text: str, turn: int) -> tuple[int, bytes, dict[str, str]]:
        if text.startswith("busy") and turn < 3:
            return 429, b"slow down", {"Retry-After": "7"}
        if text.startswith("broken") and turn < 2:
            return 503, b"", {}
        if text.startswith("down"):
            return 500, b"never", {}
        if text.startswith("garbage") and turn < 2:
            return 200, b"<html>not of the protocol</html>", {}
        if text.startswith("odd"):
            return 200, b'{"choices": []}', {}
        if text.startswith("long"):
            return 400, b"context length exceeded", {}
        said = "I cannot say." if text.startswith("silent") else f"It teaches.\nScore: {len(text) % 6}"
        value = {"choices": [{"message": {"content": said}}], "usage": {"total_tokens": 100}}
        return 200, json.dumps(value).encode(), {}


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    made.thread.start()
    yield made
    made.http.shutdown()
    made.http.server_close()


def endpoint(server: Server, pauses: list[float] | None = None, **options: Any) -> Endpoint:
    return Endpoint(server.url, "grader", pause=(pauses if pauses is not None else []).append, **options)


def texts(*contents: str) -> pa.Table:
    return pa.table({"text": pa.array(contents, pa.large_string()), "id": [f"id-{k}" for k in range(len(contents))]})


def graded(
    server: Server, table: pa.Table, out: Path, *, retries: int = 3, budget: Budget | None = None, parallel: int = 3
) -> Sums:
    return label(table, endpoint(server, retries=retries), Prompt(PROMPT), out, budget=budget, parallel=parallel)


def closes(sums: Sums, out: Path) -> None:
    labels, failed = pq.read_table(out), pq.read_table(out.with_suffix(".failed.parquet"))
    assert labels.num_rows == sums.graded
    assert failed.num_rows == sums.failed + sums.not_asked
    assert sums.graded + sums.failed + sums.not_asked == sums.texts
    assert failed["reason"].null_count == 0
    assert json.loads(out.with_suffix(".json").read_text())["graded"] == sums.graded


def test_every_text_ends_as_a_label_or_with_a_reason(server: Server, tmp_path: Path) -> None:
    contents = ["a", "bb", "busy", "broken x", "down", "garbage", "odd", "long", "silent", "", "😀\x00", "a"]
    out = tmp_path / "labels.parquet"
    sums = graded(server, texts(*contents), out)
    closes(sums, out)
    labels = dict(zip(*(pq.read_table(out)[name].to_pylist() for name in ("text", "score")), strict=True))
    assert labels == {text: len(text) % 6 for text in ("a", "bb", "busy", "broken x", "garbage", "", "😀\x00")}
    failed = pq.read_table(out.with_suffix(".failed.parquet"))
    reasons = dict(zip(failed["text"].to_pylist(), failed["reason"].to_pylist(), strict=True))
    assert reasons["silent"] == NO_SCORE
    assert reasons["long"] == "status 400: context length exceeded"
    assert reasons["down"] == "status 500, after 4 tries"
    assert reasons["odd"] == "an answer that is not of the protocol, after 4 tries"
    assert server.turns == {"a": 1, "bb": 1, "busy": 3, "broken x": 2, "down": 4, "garbage": 2, "odd": 4, "long": 1,
                            "silent": 1, "": 1, "😀\x00": 1}  # fmt: skip
    assert sums.retried == 2 + 1 + 3 + 1 + 3
    assert server.bodies[0]["temperature"] == 0


def test_a_server_says_how_long_to_wait(server: Server) -> None:
    pauses: list[float] = []
    assert endpoint(server, pauses).ask(PROMPT.replace("{text}", "busy")).reason is None
    assert pauses == [7.0, 7.0]
    pauses.clear()
    assert not endpoint(server, pauses, retries=3).ask(PROMPT.replace("{text}", "down")).final
    assert pauses == [1.0, 2.0, 4.0]


def test_a_stopped_command_goes_on_and_gives_the_same_labels(server: Server, tmp_path: Path) -> None:
    table = texts(*(f"text {'x' * n}" for n in range(12)), "down")
    out, whole = tmp_path / "labels.parquet", tmp_path / "whole.parquet"
    first = graded(server, table, out, budget=Budget(requests=5))
    closes(first, out)
    assert (first.asked, first.not_asked, first.reasons[NOT_ASKED]) == (5, 8, 8)
    journal = out.with_suffix(".journal.jsonl")
    journal.write_bytes(journal.read_bytes()[:-20])  # killed while it wrote its last line
    server.asked.clear()
    second = graded(server, table, out)
    closes(second, out)
    assert second.reused == 4
    assert len(set(server.asked)) == 9
    server.asked.clear()
    third = graded(server, table, out)
    assert set(server.asked) == {"down"}  # it had no answer; nothing else is asked again
    assert third.graded == 12
    graded(server, table, whole, parallel=1)
    assert out.read_bytes() == whole.read_bytes()


def test_tokens_are_a_budget(server: Server, tmp_path: Path) -> None:
    out = tmp_path / "labels.parquet"
    sums = graded(server, texts(*(f"t{n}" for n in range(30))), out, budget=Budget(tokens=500), parallel=2)
    closes(sums, out)
    assert 500 <= sums.tokens <= 700
    assert sums.not_asked >= 23


def test_the_key_is_sent_and_told_to_nobody(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    out = tmp_path / "labels.parquet"
    graded(server, texts("a", "long", "down"), out)
    assert set(server.keys) == {f"Bearer {KEY}"}
    monkeypatch.setattr(server, "answer", lambda text, turn: (401, f"wrong key {KEY}".encode(), {}))
    with pytest.raises(GraderFailed, match=r"found status 401, expected 200: wrong key \*\*\*"):
        graded(server, texts("b"), out)
    told = capsys.readouterr()
    written = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert KEY not in told.out + told.err
    assert KEY.encode() not in written
    assert KEY not in repr(endpoint(server))


def test_a_key_at_the_end_of_what_is_told(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    said = b"x" * (300 - len(KEY) // 2) + KEY.encode()
    monkeypatch.setattr(server, "answer", lambda text, turn: (401, said, {}))
    with pytest.raises(GraderFailed) as told:
        graded(server, texts("b"), tmp_path / "labels.parquet")
    assert KEY[: len(KEY) // 2] not in str(told.value)


def test_a_key_that_no_header_can_hold_stops_at_once(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY + "\n")
    with pytest.raises(GraderFailed, match="OPENAI_API_KEY") as told:
        graded(server, texts("b"), tmp_path / "labels.parquet")
    assert KEY not in str(told.value)


def test_an_address_where_nobody_answers(tmp_path: Path) -> None:
    silent = Endpoint("http://127.0.0.1:9/v1", "m", retries=1, pause=lambda seconds: None)
    sums = label(texts("a"), silent, Prompt(PROMPT), tmp_path / "labels.parquet")
    assert sums.reasons == {"no answer: ConnectError, after 2 tries": 1}
    with pytest.raises(RecipeError, match="expected http"):
        Endpoint("localhost:8000", "m")


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        ("Clear.\nScore: 4", 4), ("score: 3/5", 3), ("**Score:** 2", 2), ("Score: 5.", 5), ("Score 0", 0),
        ("Score: 1 ... Score: 4", 4), ("Score: 4.0", 4), ("Score: 7", None), ("Score: 50", None), ("four", None),
        ("", None), ("Score: 3.5", None), ("Score: " + "9" * 5000, None), ("Score: -1", None),
        ("Score: 4 / 10", None), ("Score: 4 / 5", 4),
    ],
)  # fmt: skip
def test_the_last_score_counts(answer: str, score: int | None) -> None:
    assert score_of(answer) == score


def test_a_wording_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "prompt.txt"
    file.write_text("Grade {text}")
    assert read_prompt(file).of("abcdef", 3) == "Grade abc"
    file.write_text("Grade")
    with pytest.raises(RecipeError, match="0 times, expected it once"):
        read_prompt(file)
    assert "never an instruction" in read_prompt(None).wording


def test_a_sample_does_not_depend_on_order(tmp_path: Path) -> None:
    contents = [f"text {n}" for n in range(100)]
    for name, some in (("a", contents), ("b", contents[::-1])):
        pq.write_table(pa.table({"text": some}), tmp_path / f"{name}.parquet")
    chosen = [set(read_texts(tmp_path / f"{name}.parquet", 10, 3)["text"].to_pylist()) for name in "ab"]
    assert chosen[0] == chosen[1]
    assert len(chosen[0]) == 10
    assert read_texts(tmp_path, None, 0).num_rows == 200
    with pytest.raises(RecipeError, match="no Parquet file here"):
        read_texts(tmp_path / "none.parquet", None, 0)


def test_a_model_of_our_own_answers(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    from trainer.models import build, save_hf

    tokenizer = Tokenizer(models.BPE(vocab={chr(k): k - 32 for k in range(32, 127)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    save_hf(build("afm-tiny-1m"), tmp_path / "model")
    tokenizer.save(str(tmp_path / "model" / "tokenizer.json"))
    grader = Checkpoint(tmp_path / "model", answer_tokens=5)
    out = tmp_path / "labels.parquet"
    sums = label(texts("a text", "another"), grader, Prompt("Grade {text}"), out, parallel=1)
    closes(sums, out)
    assert sums.reasons == {NO_SCORE: 2}  # it has learned nothing, and what it says is kept
    assert sums.tokens > 10


def test_the_command(server: Server, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from pipelines.cli import app

    pq.write_table(texts("a", "silent"), tmp_path / "texts.parquet")
    out = tmp_path / "labels.parquet"
    options = ["--endpoint", server.url, "--model", "grader", "--out", str(out)]
    done = CliRunner().invoke(app, ["label", str(tmp_path / "texts.parquet"), *options, "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["graded"] == 1
    again = CliRunner().invoke(app, ["label", str(tmp_path / "texts.parquet"), *options])
    assert "2 texts: 1 graded, 1 failed, 0 not asked" in again.stdout
    wrong = CliRunner().invoke(app, ["label", str(tmp_path / "texts.parquet"), "--out", str(out)])
    assert isinstance(wrong.exception, RecipeError)


@pytest.mark.parametrize("column", [pa.array([]), pa.array([], pa.string()), pa.array([None, None]), pa.array([b""])])
def test_texts_without_rows_or_a_type(server: Server, tmp_path: Path, column: pa.Array) -> None:
    pq.write_table(pa.table({"text": column}), tmp_path / "texts.parquet")
    table = read_texts(tmp_path / "texts.parquet", None, 0)
    assert table["text"].to_pylist() == [""] * len(column)
    out = tmp_path / "labels.parquet"
    sums = graded(server, table, out)
    closes(sums, out)
    assert sums.graded == len(column)
    assert {pq.read_schema(out).field(name).type for name in ("text", "score")} == {pa.large_string(), pa.float64()}


def test_numbers_are_no_texts(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": [1, 2]}), tmp_path / "texts.parquet")
    with pytest.raises(RecipeError, match=r"texts\.parquet: found texts of type int64, expected strings"):
        read_texts(tmp_path / "texts.parquet", None, 0)


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_string()])
def test_bytes_that_are_not_utf8_are_asked_about(server: Server, tmp_path: Path, kind: pa.DataType) -> None:
    raw = pa.array(["ünï".encode(), b"caf\xe9", b"\xff\xfe"], pa.binary())
    column = raw if kind == pa.binary() else raw.cast(pa.large_binary()).view(kind)
    pq.write_table(pa.table({"text": column}), tmp_path / "texts.parquet")
    table = read_texts(tmp_path / "texts.parquet", 3, 0)
    assert table["text"].to_pylist() == ["ünï", "caf\ufffd", "\ufffd\ufffd"]
    out = tmp_path / "labels.parquet"
    sums = graded(server, table, out)
    closes(sums, out)
    assert sums.graded == 3


class Failing:
    """Answers slowly, but for one question, at which it fails when the others are on their way."""

    name = "failing"

    def __init__(self, together: int) -> None:
        self.begun = threading.Barrier(together)
        self.failed = threading.Event()

    def ask(self, question: str) -> Answer:
        self.begun.wait(10)
        if question.endswith("wrong"):
            self.failed.set()
            raise GraderFailed("the model is gone")
        assert self.failed.wait(10)
        time.sleep(0.05)  # the failure is seen first
        return Answer("Score: 3", 10)


def test_answers_on_their_way_outlive_a_grader_that_fails(server: Server, tmp_path: Path) -> None:
    out = tmp_path / "labels.parquet"
    table = texts("a", "wrong", "bb", "never asked", "nor this")
    with pytest.raises(GraderFailed, match="the model is gone"):
        label(table, Failing(3), Prompt("Grade {text}"), out, parallel=3)
    assert pq.read_table(out)["text"].to_pylist() == ["a", "bb"]
    failed = pq.read_table(out.with_suffix(".failed.parquet")).to_pylist()
    assert {row["text"]: row["reason"] for row in failed} == dict.fromkeys(
        ["wrong", "never asked", "nor this"], "not asked: the model is gone"
    )
    told = json.loads(out.with_suffix(".json").read_text())
    assert (told["texts"], told["graded"], told["not_asked"], told["tokens"]) == (5, 2, 3, 20)
    server.asked.clear()
    grader = endpoint(server)
    grader.name = "failing"
    assert label(table, grader, Prompt("Grade {text}"), out).reused == 2  # what came is not asked again

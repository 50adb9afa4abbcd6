"""Who is asked: an endpoint that speaks OpenAI's protocol, or a model that Pomona trained."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import httpcore

from pipelines.recipe_errors import RecipeError

PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds before a question is asked again the first time, doubled each time, and the longest."""
PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
"""Answers that another try may change."""
ABOUT_THE_TEXT = frozenset({400, 413, 422})
"""Answers that refuse this text and say nothing of the next; all others end the work."""


@dataclass(frozen=True)
class Answer:
    """What a grader said; `reason` says why it said nothing, and `final` whether it would say so again."""

    text: str = ""
    tokens: int = 0
    reason: str | None = None
    final: bool = True


class GraderFailed(Exception):
    """No question can be answered: a wrong key, address or model. The message says which."""


class Grader(Protocol):
    """Answers questions; `name` is the model's."""

    name: str

    def ask(self, question: str) -> Answer:
        """Answer a question. Raises GraderFailed where no other would be answered either."""
        ...


@dataclass
class Endpoint:
    """An endpoint of OpenAI's protocol (`POST URL/chat/completions`), asked by several threads.

    The key is read from the environment variable `key_env` and goes into the request alone: into no message, no file.
    """

    url: str
    name: str
    key_env: str = "OPENAI_API_KEY"
    answer_tokens: int = 256
    retries: int = 5
    seconds: float = 120.0
    pause: Callable[[float], None] = time.sleep
    retried: int = 0
    _pool: httpcore.ConnectionPool = field(default_factory=lambda: httpcore.ConnectionPool(max_connections=64))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise RecipeError(
                [f"--endpoint {self.url}: expected http:// or https://, such as http://localhost:8000/v1"]
            )

    def ask(self, question: str) -> Answer:
        """Answer a question, trying again where that may help; see `Grader`."""
        body = json.dumps(
            {
                "model": self.name,
                "messages": [{"role": "user", "content": question}],
                "temperature": 0,
                "max_tokens": self.answer_tokens,
            }
        ).encode("utf-8", "replace")
        reason = ""
        for turn in range(self.retries + 1):
            wait = min(PAUSE * 2**turn, LONGEST_PAUSE)
            try:
                status, headers, content = self._post(body)
            except httpcore.LocalProtocolError:
                wrong = (
                    f"{self.url}: the request cannot be made; look for characters that no header has in {self.key_env}"
                )
                raise GraderFailed(wrong) from None  # the cause may quote the header
            except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
                reason = f"no answer: {type(error).__name__}"
            else:
                if status == 200:
                    answer = _read(content)
                    if answer is not None:
                        return answer
                    reason = "an answer that is not of the protocol"
                elif status in PASSING:
                    reason = f"status {status}"
                    wait = _asked_to_wait(headers, wait)
                else:
                    said = self._hidden(content.decode("utf-8", "replace"))[:300]
                    if status in ABOUT_THE_TEXT:
                        return Answer(reason=f"status {status}: {said}")
                    raise GraderFailed(f"{self.url}: model {self.name}: found status {status}, expected 200: {said}")
            if turn < self.retries:
                with self._lock:
                    self.retried += 1
                self.pause(wait)
        return Answer(reason=f"{reason}, after {self.retries + 1} tries", final=False)

    def _post(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        headers = [(b"Content-Type", b"application/json"), (b"Accept", b"application/json")]
        if key := os.environ.get(self.key_env):
            headers.append((b"Authorization", f"Bearer {key}".encode()))
        limits = dict.fromkeys(("connect", "read", "write", "pool"), self.seconds)
        response = self._pool.request(
            "POST",
            self.url.rstrip("/") + "/chat/completions",
            headers=headers,
            content=body,
            extensions={"timeout": limits},
        )
        found = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
        return response.status, found, response.content

    def _hidden(self, said: str) -> str:
        key = os.environ.get(self.key_env)
        return said.replace(key, "***") if key else said


@dataclass
class Checkpoint:
    """A model that Pomona trained, or any folder that the trainer reads; greedy, so that it answers the same again."""

    folder: Path
    answer_tokens: int = 256
    name: str = ""

    def __post_init__(self) -> None:
        from tokenizers import Tokenizer

        from trainer.checkpoint import load_model
        from trainer.device import resolve_device

        file = self.folder / "tokenizer.json"
        if not file.is_file():
            raise RecipeError([f"--checkpoint {self.folder}: no tokenizer.json there; a `train/model` folder has one"])
        self.name = self.name or str(self.folder.resolve())  # each run's model lies in a folder of the same name
        self._model: Any = load_model(self.folder, resolve_device("auto"))
        self._tokenizer: Any = Tokenizer.from_file(str(file))

    def ask(self, question: str) -> Answer:
        """Continue the question; see `Grader`."""
        from trainer.generate import continue_text

        said = continue_text(self._model, self._tokenizer, question, tokens=self.answer_tokens, temperature=0.0)
        asked = len(self._tokenizer.encode(question, add_special_tokens=False).ids)
        return Answer(said.text, asked + said.tokens)


def _read(content: bytes) -> Answer | None:
    """The answer of a response of the protocol, None where it is not one."""
    try:
        value = json.loads(content)
        text = value["choices"][0]["message"]["content"]
        used = value.get("usage") or {}
        tokens = int(used.get("total_tokens") or 0)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return None
    return Answer(text, tokens) if isinstance(text, str) else None


def _asked_to_wait(headers: dict[str, str], otherwise: float) -> float:
    """Seconds of Retry-After (RFC 9110, section 10.2.3), where it gives them as a number."""
    try:
        return min(max(float(headers["retry-after"]), 0.0), LONGEST_PAUSE)
    except (KeyError, ValueError):
        return otherwise

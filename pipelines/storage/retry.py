"""Trying again what a busy or broken network refused: exponential backoff with full jitter, bounded.

Full jitter: each wait is uniform between nothing and a limit that doubles, so that many clients that were refused
together do not come back together (M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015).
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from pipelines.storage.errors import StorageError, TryAgain
from pipelines.storage.place import shown

log = logging.getLogger(__name__)

T = TypeVar("T")

BUSY = frozenset((408, 425, 429, 500, 502, 503, 504))
"""HTTP statuses after which the same request may succeed."""
BUSY_CODES = frozenset(
    (
        "BadDigest",
        "ConditionalRequestConflict",
        "IncompleteBody",
        "InternalError",
        "OperationAborted",
        "RequestLimitExceeded",
        "RequestTimeout",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "XAmzContentSHA256Mismatch",
    )
)
"""S3's error codes after which the same request may succeed, whatever status they come with."""
BROKEN = frozenset(
    (
        "aiohttp.client_exceptions.ClientConnectionError",
        "aiohttp.client_exceptions.ClientPayloadError",
        "aiohttp.http_exceptions.HttpProcessingError",
        "botocore.exceptions.HTTPClientError",
        "botocore.exceptions.IncompleteReadError",
        "fsspec.exceptions.FSTimeoutError",
        "http.client.HTTPException",
    )
)
"""Errors of libraries that mean a connection broke; named, so that none of them is imported to be asked about."""


@dataclass(frozen=True)
class Policy:
    """How often, and for how many seconds, an operation is tried; the first and the longest wait, in seconds."""

    tries: int = 8
    seconds: float = 120.0
    first: float = 0.2
    most: float = 20.0


POLICY = Policy()


def retried(operation: str, url: str, call: Callable[[], T], policy: Policy | None = None) -> T:
    """Call until it succeeds, as long as what fails may pass by itself.

    FileNotFoundError and FileExistsError are answers and come through. Every other failure is a StorageError with
    the URL, the operation, the number of tries and the last error.
    """
    from tenacity import Retrying, retry_if_exception, stop_after_attempt, stop_after_delay, wait_random_exponential

    policy = policy or POLICY
    tries = 1

    def again(state: Any) -> None:
        nonlocal tries
        tries = state.attempt_number + 1
        log.debug(
            "%s: %s failed (%s), try %d of %d", shown(url), operation, told(state.outcome.exception()), tries,
            policy.tries,
        )  # fmt: skip

    retrying = Retrying(
        retry=retry_if_exception(transient),
        wait=wait_random_exponential(multiplier=policy.first, max=policy.most),
        stop=stop_after_attempt(policy.tries) | stop_after_delay(policy.seconds),
        before_sleep=again,
        reraise=True,
    )
    try:
        return retrying(call)
    except Exception as error:
        passing = transient(error)
        if isinstance(error, FileNotFoundError) and not passing:
            raise missing(url) from error
        if isinstance(error, FileExistsError | StorageError) and not passing:
            raise
        raise StorageError(
            f"{shown(url)}: {operation} failed after {tries} {'tries' if tries > 1 else 'try'} ({told(error)}); "
            f"{_advice(error, passing)}"
        ) from error


def missing(url: object) -> FileNotFoundError:
    """Return the error of a file that is not on its store, as the one of a file that is not on a disk."""
    return FileNotFoundError(errno.ENOENT, "no such file", shown(url))


def transient(error: BaseException) -> bool:
    """Whether the same request may succeed a little later."""
    for one in _chain(error):
        if isinstance(one, StorageError):
            return isinstance(one, TryAgain)  # every other one is what is left of tries that were made
        status, code = answer(one)
        if status or code:
            return status in BUSY or code in BUSY_CODES
        if isinstance(one, ConnectionError | TimeoutError):
            return True
        if any(f"{kind.__module__}.{kind.__name__}" in BROKEN for kind in type(one).__mro__):
            return True
    return False


def answer(error: BaseException) -> tuple[int, str]:
    """Return the HTTP status and the store's error code that an error carries; 0 and "" where it has none."""
    response: Any = getattr(error, "response", None)
    if isinstance(response, dict):
        found: dict[str, Any] = response
        meta, reason = found.get("ResponseMetadata") or {}, found.get("Error") or {}
        return int(meta.get("HTTPStatusCode") or 0), str(reason.get("Code") or "")
    status: Any = getattr(error, "status", None)
    return (status, "") if isinstance(status, int) else (0, "")


def code_of(error: BaseException) -> tuple[int, str]:
    """Return the HTTP status and the error code of an error or of what caused it."""
    return next((found for one in _chain(error) if any(found := answer(one))), (0, ""))


def told(error: BaseException | None) -> str:
    """Say an error in a line, with the store's own code and without secrets."""
    if error is None:
        return "no error"
    status, code = code_of(error)
    text = " ".join(shown(error).split())[:300]
    parts = [
        type(error).__name__,
        *([str(status)] if status else []),
        *([code] if code and code != str(status) else []),
    ]
    return " ".join(parts) + (f": {text}" if text else "")


def _advice(error: BaseException, passing: bool) -> str:
    names = {type(one).__name__ for one in _chain(error)}
    if names & {"NoCredentialsError", "PartialCredentialsError", "ProfileNotFound"}:
        return "no credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
    status, code = code_of(error)
    if code == "RequestTimeTooSkewed":
        return "the clocks of this machine and of the store differ too much: set this machine's"
    if status in (401, 403) or code in ("ExpiredToken", "InvalidToken") or isinstance(error, PermissionError):
        return "check the credentials (AWS_* variables) and what they may do there"
    if passing:
        return "check the store and AWS_ENDPOINT_URL, then run the same command again: what is finished is kept"
    return "check the address and the store's own log"


def _chain(error: BaseException) -> Iterator[BaseException]:
    one: BaseException | None = error
    for _ in range(8):
        if one is None:
            return
        yield one
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)

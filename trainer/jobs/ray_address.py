"""Where a Ray cluster takes jobs, and a bounded wait until it answers there."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from urllib.parse import SplitResult, urlsplit

from trainer.errors import RequestError
from trainer.jobs.job import Unreachable

DEFAULT = "http://127.0.0.1:8265"
_ENVIRONMENT = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")
_GCS_PORT = 6379
_CLIENT_PORT = 10001
_TRY_SECONDS = 5.0
_BETWEEN_SECONDS = 1.0
_REFUSING = (401, 403)


def resolve(address: str | None) -> str:
    """Return the http address of the dashboard, which takes jobs.

    Without one (or with "auto"): $RAY_API_SERVER_ADDRESS, $RAY_ADDRESS, and then Ray's default on this machine.

    Raises:
        RequestError: it is another of a cluster's addresses, or none at all.
    """
    given, origin = address, "--address"
    if given in (None, "", "auto"):
        found = [(os.environ[name], name) for name in _ENVIRONMENT if os.environ.get(name, "auto") != "auto"]
        given, origin = found[0] if found else (DEFAULT, "the default")
    assert given is not None
    parts = _split(given if "://" in given else f"http://{given}", origin)
    if parts.scheme not in ("http", "https") or parts.port in (_GCS_PORT, _CLIENT_PORT):
        raise RequestError(
            f"{origin} {given}: jobs are taken by the cluster's dashboard; give its address, "
            f"by default http://{parts.hostname or 'HEAD'}:8265"
        )
    if parts.username or parts.password:
        raise RequestError(
            f"{origin}: holds a user name or password; leave it out: a token goes into RAY_AUTH_TOKEN with "
            "RAY_AUTH_MODE=token"
        )
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}:{parts.port or (443 if parts.scheme == 'https' else 8265)}{parts.path.rstrip('/')}"


def wait_until_it_answers(address: str, seconds: float) -> str:
    """Ask a cluster for its version until it answers; return Ray's version there.

    A cluster that asks for a token has answered: its version is "unknown" then, and the call that follows says what
    is missing.

    Raises:
        Unreachable: nothing, or nothing that is Ray, answered within `seconds`; says how often and why not.
    """
    began = time.monotonic()
    tries = 0
    while True:
        tries += 1
        left = seconds - (time.monotonic() - began)
        try:
            with urllib.request.urlopen(f"{address}/api/version", timeout=max(0.1, min(_TRY_SECONDS, left))) as reply:
                return str(json.loads(reply.read(65_536))["ray_version"])
        except urllib.error.HTTPError as error:
            if error.code in _REFUSING:
                return "unknown"
            reason = f"it answered with status {error.code}"
        except urllib.error.URLError as error:
            reason = str(getattr(error.reason, "strerror", None) or error.reason)
        except (ValueError, KeyError, TypeError):
            reason = "something answers there, but not a Ray dashboard"
        except OSError as error:
            reason = error.strerror or str(error) or type(error).__name__
        if time.monotonic() - began + _BETWEEN_SECONDS >= seconds:
            raise Unreachable(
                f"no Ray cluster answers at {address}: asked /api/version {tries} times in "
                f"{time.monotonic() - began:.0f} s; last: {reason}. Is its head up, is this the dashboard's address "
                "(port 8265 by default), and does the network let you through (kubectl port-forward, ssh -L)?"
            )
        time.sleep(_BETWEEN_SECONDS)


def _split(address: str, origin: str) -> SplitResult:
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError as error:
        raise RequestError(f"{origin} {address}: not an address ({error}); expected like {DEFAULT}") from error
    if not parts.hostname:
        raise RequestError(f"{origin} {address}: names no machine; expected like {DEFAULT}")
    return parts

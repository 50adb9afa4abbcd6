"""Run inside a CronJob's pod: make a RayJob, wait for its end, and end as it did.

The pod lives as long as the run, so that `concurrencyPolicy: Forbid` means the run and not only its start. Speaks to
the Kubernetes API with the pod's own account and nothing but the standard library and YAML.
"""

from __future__ import annotations

import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_POLL_SECONDS = 10.0
_TIMEOUT_SECONDS = 30.0
_LOST_AT_MOST = 30
_ENDED = ("Complete", "Failed", "ValidationFailed")


class KubernetesError(Exception):
    """The Kubernetes API refused something, or could not be reached for long; the message says what."""


@dataclass(frozen=True)
class Api:
    """The RayJobs of a namespace."""

    server: str
    namespace: str
    token: Path
    authority: Path | None

    @classmethod
    def of_pod(cls, account: Path = ACCOUNT) -> Api:
        """Find the API as every pod can. Raises KubernetesError outside a pod."""
        host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
        if not host or not (account / "token").exists():
            raise KubernetesError(f"this is not a pod with a service account (no {account}/token)")
        host = f"[{host}]" if ":" in host else host
        return cls(
            f"https://{host}:{port}", (account / "namespace").read_text().strip(), account / "token", account / "ca.crt"
        )

    def call(self, method: str, name: str = "", body: dict[str, Any] | None = None) -> dict[str, Any] | None:
        """Make one call; None when there is no such RayJob.

        Raises:
            KubernetesError: the API answered with another error.
            OSError: it could not be reached.
        """
        request = urllib.request.Request(
            f"{self.server}/apis/ray.io/v1/namespaces/{self.namespace}/rayjobs{f'/{name}' if name else ''}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            # Read each time: Kubernetes replaces the token while a long run goes on.
            headers={"Authorization": f"Bearer {self.token.read_text().strip()}", "Content-Type": "application/json"},
        )
        context = ssl.create_default_context(cafile=str(self.authority)) if self.authority else None
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS, context=context) as reply:
                return json.load(reply)
        except urllib.error.HTTPError as error:
            if error.code == 404 and name:
                return None
            said = error.read(2000).decode(errors="replace")
            raise KubernetesError(f"{method} rayjobs/{name}: status {error.code}: {said}") from error


def run(api: Api, manifest: dict[str, Any], poll: float = _POLL_SECONDS) -> bool:
    """Make a RayJob and wait for its end; say whether it succeeded.

    One of the same name that is still going is waited for instead (this pod may be a second try of the same run); one
    that has ended is removed first.
    """
    name = manifest["metadata"]["name"]
    found = _patiently(lambda: api.call("GET", name), poll)
    if found is not None and _deployment(found) in _ENDED:
        _patiently(lambda: api.call("DELETE", name), poll)
        while found is not None:
            found = _patiently(lambda: api.call("GET", name), poll)
            if found is not None:
                time.sleep(poll)
    if found is None:
        found = api.call("POST", body=manifest)
        print(f"made RayJob {name}", flush=True)
    else:
        print(f"RayJob {name} is going already: waiting for it", flush=True)
    told = None
    while True:
        if found is None:
            raise KubernetesError(f"RayJob {name} was removed while it ran")
        status = found.get("status") or {}
        state = (_deployment(found), status.get("jobStatus"))
        if state != told:
            print(
                f"RayJob {name}: {state[0] or 'waiting'} {state[1] or ''} {status.get('message') or ''}".rstrip(),
                flush=True,
            )
            told = state
        if state[0] in _ENDED:
            return state[1] == "SUCCEEDED"
        time.sleep(poll)
        found = _patiently(lambda: api.call("GET", name), poll)


def _deployment(found: dict[str, Any]) -> str:
    return (found.get("status") or {}).get("jobDeploymentStatus") or ""


def _patiently(call: Callable[[], dict[str, Any] | None], poll: float) -> dict[str, Any] | None:
    """Make a call again while the API cannot be reached, for some minutes at most."""
    for left in reversed(range(_LOST_AT_MOST)):
        try:
            return call()
        except OSError as error:
            if not left:
                raise KubernetesError(f"the Kubernetes API cannot be reached: {error}") from error
            time.sleep(poll)
    raise AssertionError("unreachable")


def main() -> None:
    """Run the RayJob of the manifest that is named on the command line."""
    try:
        succeeded = run(Api.of_pod(), yaml.safe_load(Path(sys.argv[1]).read_text()))
    except KubernetesError as error:
        print(f"failed: {error}", file=sys.stderr)
        sys.exit(1)
    sys.exit(0 if succeeded else 1)


if __name__ == "__main__":
    main()

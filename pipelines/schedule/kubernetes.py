"""A CronJob for Kubernetes; for the Ray engine it has KubeRay make a cluster for each run, or uses a running one."""

from __future__ import annotations

import shlex
from pathlib import PurePosixPath
from typing import Any

import yaml

from pipelines.schedule.entry import Entry, Request
from trainer.errors import RequestError

FOLDER = PurePosixPath("/etc/pomona")
_CONFIG_MAP_BYTES = 900_000
_LATE_SECONDS = 3600
_USER = 10001
_WORKERS = 2


def entry(request: Request) -> Entry:
    """Return the manifests: the recipe as a ConfigMap, and what runs it.

    Raises:
        RequestError: the run folder is no address, or the recipe is too large for a ConfigMap.
    """
    if "://" not in request.out:
        name = PurePosixPath(request.out).name
        raise RequestError(
            f"--out {request.out}: pods come and go with their files; give an address, like s3://bucket/{name}"
        )
    recipe = request.recipe.read_text("utf-8")
    if len(recipe.encode()) > _CONFIG_MAP_BYTES:
        raise RequestError(f"{request.recipe}: too large for a ConfigMap; put it into the image and schedule it there")
    unit = request.unit
    config = _named("v1", "ConfigMap", f"{unit}-recipe") | {"data": {request.recipe.name: recipe}}
    manifests: list[dict[str, Any]] = [config]
    notes = [f"runs `pomona build --update` of {request.recipe} into {request.out}"]
    if request.engine == "ray" and request.address is None:
        job = ray_job(request)
        config["data"]["rayjob.yaml"] = _yaml(job)
        manifests += _may_make_ray_jobs(unit)
        command = ["python", "-m", "pipelines.schedule.ray_job", str(FOLDER / "rayjob.yaml")]
        notes.append(
            "for each run KubeRay (1.6 or newer) makes a Ray cluster and takes it down after; its size is below"
        )
    else:
        submitted = ["--submit", "ray", "--address", request.address] if request.address else []
        command = ["pomona", "build", str(FOLDER / request.recipe.name), *request.options, *submitted]
    manifests.append(_cron_job(request, command, account=unit if len(manifests) > 1 else None))
    return Entry(
        files={f"{unit}.yaml": "---\n".join(_yaml(one) for one in manifests)},
        install=("install: kubectl -n NAMESPACE apply -f FILE",),
        logs=f"kubectl -n NAMESPACE logs -l app.kubernetes.io/instance={unit} --tail=-1",
        notes=tuple(notes),
    )


def ray_job(request: Request) -> dict[str, Any]:
    """Return the RayJob of a run: a head that drives and workers, all gone when it has ended."""
    submitter = _template(request, "ray-job-submitter", cpu="250m", memory="1Gi")
    submitter["spec"]["restartPolicy"] = "Never"
    command = [
        "pomona",
        "build",
        str(FOLDER / request.recipe.name),
        *request.options,
        "--engine",
        "ray",
        "--address",
        "auto",
    ]
    return _named("ray.io/v1", "RayJob", request.unit) | {
        "spec": {
            "entrypoint": shlex.join(command),
            "shutdownAfterJobFinishes": True,
            "ttlSecondsAfterFinished": 600,
            "submissionMode": "K8sJobMode",
            "submitterPodTemplate": submitter,
            "rayClusterSpec": {
                "rayVersion": _ray_version(),
                "authOptions": {"mode": "token"},  # KubeRay makes a token for each cluster
                "headGroupSpec": {
                    "rayStartParams": {"num-cpus": "0"},
                    "template": _template(request, "ray-head", cpu="2", memory="8Gi"),
                },
                "workerGroupSpecs": [
                    {
                        "groupName": "workers",
                        "replicas": _WORKERS,
                        "minReplicas": _WORKERS,
                        "maxReplicas": _WORKERS,
                        "rayStartParams": {},
                        "template": _template(request, "ray-worker", cpu="4", memory="16Gi"),
                    }
                ],
            },
        }
    }


def _cron_job(request: Request, command: list[str], account: str | None) -> dict[str, Any]:
    template = _template(request, "pomona", cpu="2", memory="8Gi", command=command)
    template["metadata"] = {"labels": {"app.kubernetes.io/instance": request.unit}}
    template["spec"]["restartPolicy"] = "Never"
    if account:
        template["spec"] |= {"serviceAccountName": account, "automountServiceAccountToken": True}
    return _named("batch/v1", "CronJob", request.unit) | {
        "spec": {
            "schedule": request.cron.text(),
            "timeZone": request.time_zone or "Etc/UTC",
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": _LATE_SECONDS,
            "successfulJobsHistoryLimit": 3,
            "failedJobsHistoryLimit": 3,
            # A build goes on where it was: a second try repeats no finished part.
            "jobTemplate": {"spec": {"backoffLimit": 2, "template": template}},
        }
    }


def _template(
    request: Request, name: str, *, cpu: str, memory: str, command: list[str] | None = None
) -> dict[str, Any]:
    """A pod that runs as nobody in particular, writes only to scratch space, and has the recipe and the secrets."""
    container: dict[str, Any] = {
        "name": name,
        "image": request.image,
        **({"command": command, "workingDir": "/scratch"} if command else {}),
        "env": [{"name": "HOME", "value": "/scratch"}, {"name": "TMPDIR", "value": "/scratch"}],
        "resources": {"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": memory}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "recipe", "mountPath": str(FOLDER), "readOnly": True},
            {"name": "scratch", "mountPath": "/scratch"},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    }
    if request.secrets:
        container["envFrom"] = [{"secretRef": {"name": request.secrets}}]
    return {
        "spec": {
            "automountServiceAccountToken": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": _USER,
                "runAsGroup": _USER,
                "fsGroup": _USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
            "volumes": [
                {"name": "recipe", "configMap": {"name": f"{request.unit}-recipe"}},
                {"name": "scratch", "emptyDir": {}},
                {"name": "tmp", "emptyDir": {}},
            ],
        }
    }


def _may_make_ray_jobs(unit: str) -> list[dict[str, Any]]:
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": unit}
    return [
        _named("v1", "ServiceAccount", unit),
        _named("rbac.authorization.k8s.io/v1", "Role", unit)
        | {"rules": [{"apiGroups": ["ray.io"], "resources": ["rayjobs"], "verbs": ["create", "get", "delete"]}]},
        _named("rbac.authorization.k8s.io/v1", "RoleBinding", unit)
        | {"roleRef": role, "subjects": [{"kind": "ServiceAccount", "name": unit}]},
    ]


def _named(version: str, kind: str, name: str) -> dict[str, Any]:
    labels = {"app.kubernetes.io/name": "pomona", "app.kubernetes.io/managed-by": "pomona-schedule"}
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "labels": labels}}


def _ray_version() -> str:
    """Return the version of Ray that this installation would speak; the image has to have the same one."""
    import importlib.metadata

    try:
        return importlib.metadata.version("ray")
    except importlib.metadata.PackageNotFoundError as error:
        raise RequestError(
            "--engine ray: Ray is not installed here: pip install -c constraints.txt '.[ray]'"
        ) from error


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, and shared parts in full."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def _yaml(value: dict[str, Any]) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)

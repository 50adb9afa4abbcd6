"""Manifests for Kubernetes, against its schemas."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.schedule import kubernetes
from pipelines.schedule.entry import Request
from tests.pipelines.schedule.entries import RECIPE, request
from trainer.errors import RequestError


def manifests(text: str) -> dict[str, Any]:
    return {one["kind"]: one for one in yaml.safe_load_all(text)}


def kubernetes_request(recipe: Path, **changes: Any) -> Request:
    return request(
        recipe.parent, out="s3://bucket/tiny", image="pomona:0.1.0",
        options=("--out", "s3://bucket/tiny", "--update"), **changes,
    )  # fmt: skip


@pytest.mark.parametrize("more", [{}, {"engine": "ray"}, {"engine": "ray", "address": "http://head:8265"}])
def test_manifests_are_valid_for_kubernetes(recipe: Path, more: dict[str, str]) -> None:
    import kubernetes_validate

    entry = kubernetes.entry(kubernetes_request(recipe, secrets="store", **more))
    found = manifests(entry.files["pomona-tiny.yaml"])
    for manifest in found.values():
        for version in ("1.30", kubernetes_validate.latest_version()):
            kubernetes_validate.validate(manifest, version, strict=True)
    wrong = copy.deepcopy(found["CronJob"])
    wrong["spec"]["concurrencyPolice"] = "Forbid"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, "1.30", strict=True)


def test_the_cron_job_runs_the_build_alone(recipe: Path) -> None:
    found = manifests(kubernetes.entry(kubernetes_request(recipe, secrets="store")).files["pomona-tiny.yaml"])
    spec = found["CronJob"]["spec"]
    assert (spec["schedule"], spec["timeZone"], spec["concurrencyPolicy"]) == ("0 3 * * *", "Etc/UTC", "Forbid")
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    path = "/etc/pomona/tiny.yaml"
    assert container["command"] == ["pomona", "build", path, "--out", "s3://bucket/tiny", "--update"]
    assert container["envFrom"] == [{"secretRef": {"name": "store"}}]
    assert found["ConfigMap"]["data"]["tiny.yaml"] == RECIPE
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert {volume["name"] for volume in pod["volumes"]} == mounts.keys()
    assert path.startswith(mounts["recipe"])
    assert "serviceAccountName" not in pod


def test_a_running_ray_cluster_gets_the_build_as_a_job(recipe: Path) -> None:
    asked = kubernetes_request(recipe, engine="ray", address="http://head:8265")
    found = manifests(kubernetes.entry(asked).files["pomona-tiny.yaml"])
    assert found.keys() == {"ConfigMap", "CronJob"}
    (container,) = found["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert container["command"][-4:] == ["--submit", "ray", "--address", "http://head:8265"]


def test_without_one_each_run_makes_a_ray_job_of_valid_pods(recipe: Path) -> None:
    import kubernetes_validate

    asked = kubernetes_request(recipe, engine="ray")
    found = manifests(kubernetes.entry(asked).files["pomona-tiny.yaml"])
    job = yaml.safe_load(found["ConfigMap"]["data"]["rayjob.yaml"])
    assert (job["apiVersion"], job["kind"], job["metadata"]["name"]) == ("ray.io/v1", "RayJob", "pomona-tiny")
    assert job["spec"]["entrypoint"] == (
        "pomona build /etc/pomona/tiny.yaml --out s3://bucket/tiny --update --engine ray --address auto"
    )
    cluster = job["spec"]["rayClusterSpec"]
    groups = [job["spec"]["submitterPodTemplate"], cluster["headGroupSpec"]["template"]]
    groups += [group["template"] for group in cluster["workerGroupSpecs"]]
    for template in groups:
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": template["spec"]}
        kubernetes_validate.validate(pod, "1.30", strict=True)
    assert found["Role"]["rules"] == [
        {"apiGroups": ["ray.io"], "resources": ["rayjobs"], "verbs": ["create", "get", "delete"]}
    ]
    pod = found["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["containers"][0]["command"][-1] == "/etc/pomona/rayjob.yaml"
    names = {pod["serviceAccountName"], found["RoleBinding"]["roleRef"]["name"]}
    assert names == {found["ServiceAccount"]["metadata"]["name"]}


def test_a_pod_cannot_write_to_a_folder_that_goes_with_it(recipe: Path) -> None:
    with pytest.raises(RequestError, match=r"--out /data/run: .*s3://bucket/run"):
        kubernetes.entry(request(recipe.parent, out="/data/run"))
    recipe.write_text(RECIPE + "#" * 1_000_000)
    with pytest.raises(RequestError, match="too large"):
        kubernetes.entry(kubernetes_request(recipe))

"""The Kubernetes manifests follow Kubernetes and KubeRay, name what exists, and give no more rights than needed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import pytest
import yaml
from pydantic import ValidationError

from tests.docker.conftest import IMAGE, KUBERNETES, USER, check_command, compose, objects, only, pinned, recipe_of
from tests.docker.kuberay import RayCluster, RayJob

OBJECTS = objects()
CORE = [each for each in OBJECTS if not each["apiVersion"].startswith("ray.io/")]


def called(each: dict[str, Any]) -> str:
    return f"{each['kind']}-{each['metadata']['name']}"


def templates() -> Iterator[tuple[str, dict[str, Any]]]:
    """Give every pod template with the name of what it belongs to."""
    for each in OBJECTS:
        spec = each.get("spec", {})
        if each["kind"] in ("StatefulSet", "Job"):
            yield called(each), spec["template"]
        elif each["kind"] == "RayCluster":
            yield "head", spec["headGroupSpec"]["template"]
            for group in spec["workerGroupSpecs"]:
                yield group["groupName"], group["template"]
        elif each["kind"] == "RayJob":
            yield "submitter", spec["submitterPodTemplate"]


TEMPLATES = dict(templates())
each_template = pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)


def validate(each: dict[str, Any]) -> None:
    kubernetes_validate.validate(each, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize("each", CORE, ids=called)
def test_core_objects_follow_kubernetes(each: dict[str, Any]) -> None:
    validate(each)


@each_template
def test_pod_templates_follow_kubernetes(template: dict[str, Any]) -> None:
    validate({"apiVersion": "v1", "kind": "Pod", **template})


def test_a_mistake_in_a_pod_would_be_found() -> None:
    template = TEMPLATES["head"]
    wrong = {**template, "spec": {**template["spec"], "volume": []}}
    with pytest.raises(kubernetes_validate.ValidationError):
        validate({"apiVersion": "v1", "kind": "Pod", **wrong})


def test_ray_objects_follow_kuberay() -> None:
    RayCluster.model_validate(only("RayCluster"))
    RayJob.model_validate(only("RayJob"))


@pytest.mark.parametrize("change", [{"replica": 2}, {"minReplicas": 5}, {"replicas": "2"}, {"groupName": "Workers"}])
def test_a_mistake_in_a_ray_object_would_be_found(change: dict[str, Any]) -> None:
    cluster = only("RayCluster")
    cluster["spec"]["workerGroupSpecs"][0] |= change
    with pytest.raises(ValidationError):
        RayCluster.model_validate(cluster)


@each_template
def test_pods_have_no_more_rights_than_they_need(template: dict[str, Any]) -> None:
    spec = template["spec"]
    pod = spec["securityContext"]
    assert pod["runAsNonRoot"] is True
    assert pod["runAsUser"] == pod["runAsGroup"] == USER
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
    assert not [volume for volume in spec["volumes"] if "hostPath" in volume]
    for container in spec["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert "/tmp" in {mount["mountPath"] for mount in container["volumeMounts"]}


@each_template
def test_volumes_that_are_mounted_are_there(template: dict[str, Any]) -> None:
    spec = template["spec"]
    claims = {claim["metadata"]["name"] for claim in only("StatefulSet")["spec"]["volumeClaimTemplates"]}
    given = {volume["name"] for volume in spec["volumes"]}
    mounted = {mount["name"] for container in spec["containers"] for mount in container["volumeMounts"]}
    assert given <= mounted <= given | claims


@each_template
def test_images_are_those_of_the_compose_file(template: dict[str, Any]) -> None:
    (container,) = template["spec"]["containers"]
    assert container["image"] in {IMAGE, compose()["services"]["store"]["image"]}
    assert (container["image"] == IMAGE) == (container["name"] != "store")


@each_template
def test_secrets_and_settings_that_are_read_exist(template: dict[str, Any]) -> None:
    secrets = {each["metadata"]["name"]: each["stringData"] for each in OBJECTS if each["kind"] == "Secret"}
    settings = {each["metadata"]["name"] for each in OBJECTS if each["kind"] == "ConfigMap"}
    (container,) = template["spec"]["containers"]
    for variable in container.get("env", []):
        wanted = variable["valueFrom"]["secretKeyRef"]
        assert wanted["key"] in secrets[wanted["name"]]
    for source in container.get("envFrom", []):
        assert source["configMapRef"]["name"] in settings


def test_the_token_of_the_cluster_is_in_its_secret() -> None:
    secrets = {each["metadata"]["name"]: each["stringData"] for each in OBJECTS if each["kind"] == "Secret"}
    options = only("RayCluster")["spec"]["authOptions"]
    assert options["mode"] == "token"
    assert "auth_token" in secrets[options["secretName"]]


def test_the_template_of_the_secrets_holds_none() -> None:
    assert {value for each in objects("secret.example.yaml") for value in each["stringData"].values()} == {""}


def test_everything_is_in_one_namespace() -> None:
    (namespace,) = objects("namespace.yaml")
    assert {each["metadata"]["namespace"] for each in OBJECTS if each["kind"] != "Namespace"} == {
        namespace["metadata"]["name"]
    }
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_the_kustomization_lists_all_but_what_goes_before_and_after() -> None:
    kustomization = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())
    files = {file.name for file in KUBERNETES.glob("*.yaml")}
    assert set(kustomization["resources"]) == files - {"kustomization.yaml", "secret.example.yaml", "build.yaml"}


def test_ray_is_the_version_that_was_tested() -> None:
    assert only("RayCluster")["spec"]["rayVersion"] == pinned("ray")


def test_the_store_is_found_at_its_address() -> None:
    service = only("Service")
    labels = only("StatefulSet")["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    (port,) = service["spec"]["ports"]
    (container,) = only("StatefulSet")["spec"]["template"]["spec"]["containers"]
    assert {"name": port["targetPort"], "containerPort": port["port"]} in container["ports"]
    address = f"http://{service['metadata']['name']}:{port['port']}"
    assert only("ConfigMap")["data"]["AWS_ENDPOINT_URL"] == address
    store = compose()["services"]["store"]["command"]
    assert container["args"] == store


def test_the_job_is_a_right_command_for_the_cluster() -> None:
    job = only("RayJob")["spec"]
    assert job["clusterSelector"] == {"ray.io/cluster": only("RayCluster")["metadata"]["name"]}
    check_command(job["entrypoint"])
    assert recipe_of(job["entrypoint"]).is_file()
    assert only("Job")["spec"]["template"]["spec"]["containers"][0]["command"][-1] == "pomona"
    assert "--out s3://pomona/" in job["entrypoint"]
    assert "/recipes" in {mount["mountPath"] for mount in TEMPLATES["head"]["spec"]["containers"][0]["volumeMounts"]}


def policies() -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each["spec"] for each in objects("network.yaml")}


def test_what_no_policy_allows_is_refused() -> None:
    assert policies()["nothing"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_policies_select_pods_that_exist() -> None:
    # The operator gives these labels to the pods of a cluster.
    cluster = {"ray.io/cluster": only("RayCluster")["metadata"]["name"]}
    labels = [{**template["metadata"]["labels"]} for template in TEMPLATES.values()]
    labels += [{**cluster, "ray.io/node-type": kind} for kind in ("head", "worker")]
    labels += [{"app.kubernetes.io/name": "kuberay-operator"}]  # of the operator's chart
    selectors = [policy["podSelector"] for policy in policies().values()]
    for policy in policies().values():
        for rule in [*policy.get("ingress", []), *policy.get("egress", [])]:
            selectors += [
                peer["podSelector"] for peer in rule.get("from", []) + rule.get("to", []) if "podSelector" in peer
            ]
    assert len(selectors) > 10
    for selector in selectors:
        wanted = selector.get("matchLabels", {}).items()
        assert any(wanted <= each.items() for each in labels), selector


def test_only_the_driver_reaches_the_web_and_no_private_address() -> None:
    outside = {
        name: [peer["ipBlock"] for rule in policy.get("egress", []) for peer in rule["to"] if "ipBlock" in peer]
        for name, policy in policies().items()
    }
    assert [name for name, blocks in outside.items() if blocks] == ["crawl"]
    assert policies()["crawl"]["podSelector"]["matchLabels"]["ray.io/node-type"] == "head"
    assert {"10.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"} <= set(outside["crawl"][0]["except"])

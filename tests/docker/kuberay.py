"""The part of KubeRay's API (ray.io/v1, version 1.7) that the manifests use; any other field is a mistake.

Field names and rules are those of KubeRay's API reference and of the operator's own checks.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

Pod = dict[str, Any]
Name = Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$", max_length=47)]
Resource = Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$", max_length=63)]


class Strict(BaseModel):
    """Unknown fields are mistakes, and values keep their type: "1" is no number.

    Fields have the names of the YAML in snake case.
    """

    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel)


class Metadata(Strict):
    """What the manifests say of an object."""

    name: Name
    namespace: Resource
    labels: dict[str, str] = {}


class AuthOptions(Strict):
    """Who may call Ray; `secretName` is a Secret with the key `auth_token`."""

    mode: Literal["disabled", "token"]
    secret_name: Resource


class Group(Strict):
    """What the head's group and the workers' have in common."""

    ray_start_params: dict[str, str]
    template: Pod


class Head(Group):
    """The head's pod."""

    service_type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"


class Workers(Group):
    """A group of equal workers."""

    group_name: Resource
    replicas: Annotated[int, Field(ge=0)]
    min_replicas: Annotated[int, Field(ge=0)]
    max_replicas: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        assert self.min_replicas <= self.replicas <= self.max_replicas
        return self


class ClusterSpec(Strict):
    """A cluster."""

    ray_version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]
    auth_options: AuthOptions
    head_group_spec: Head
    worker_group_specs: Annotated[list[Workers], Field(min_length=1)]

    @model_validator(mode="after")
    def _auth(self) -> Self:
        major, minor, _ = map(int, self.ray_version.split("."))
        assert self.auth_options.mode == "disabled" or (major, minor) >= (2, 52), "Ray has tokens since 2.52"
        names = [group.group_name for group in self.worker_group_specs]
        assert len(set(names)) == len(names)
        return self


class RayCluster(Strict):
    """A Ray cluster."""

    api_version: Literal["ray.io/v1"]
    kind: Literal["RayCluster"]
    metadata: Metadata
    spec: ClusterSpec


class SubmitterConfig(Strict):
    """How often the submitter is tried."""

    backoff_limit: Annotated[int, Field(ge=0)]


class JobSpec(Strict):
    """A job on a cluster that is there already."""

    entrypoint: Annotated[str, Field(min_length=1)]
    cluster_selector: dict[str, str]
    # With clusterSelector go neither shutdownAfterJobFinishes, backoffLimit and suspend, nor SidecarMode.
    submission_mode: Literal["K8sJobMode", "HTTPMode"]
    active_deadline_seconds: Annotated[int, Field(gt=0)]
    submitter_config: SubmitterConfig
    submitter_pod_template: Pod

    @model_validator(mode="after")
    def _selector(self) -> Self:
        assert self.cluster_selector.get("ray.io/cluster"), "clusterSelector names the cluster by ray.io/cluster"
        assert not re.search(r"[\n;&|]", self.entrypoint), "KubeRay puts the entrypoint into a shell command"
        return self


class RayJob(Strict):
    """A job."""

    api_version: Literal["ray.io/v1"]
    kind: Literal["RayJob"]
    metadata: Metadata
    spec: JobSpec

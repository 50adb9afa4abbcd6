"""The Compose file keeps the Compose specification and its own promises: keys for all, loopback only, no root."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest

from tests.docker.conftest import DOCKER, IMAGE, ROOT, USER, check_command, compose, recipe_of

FILE = DOCKER / "compose.yaml"
TEXT = FILE.read_text()
SERVICES: dict[str, dict[str, Any]] = compose()["services"]
SECRETS = {"STORE_ACCESS_KEY", "STORE_SECRET_KEY", "RAY_AUTH_TOKEN"}
each_service = pytest.mark.parametrize("name", SERVICES)


def variables(text: str) -> set[tuple[str, str, str]]:
    """Return (name, operator, what follows it) of every variable; `$$` stands for a dollar sign."""
    return set(re.findall(r"(?<!\$)\$\{(\w+)(:?[-?+])?([^}]*)\}", text))


def test_the_file_follows_the_specification() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", FILE],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_variable_is_in_the_example() -> None:
    example = (DOCKER / ".env.example").read_text()
    known = dict(re.findall(r"^(?:# )?([A-Z_]+)=(.*)$", example, re.M))
    used = variables(TEXT)
    assert {name for name, _, _ in used} == known.keys()
    for name, operator, rest in used:
        if name in SECRETS:
            assert operator == ":?", f"{name} must be asked for"
            assert known[name] == "", f"{name} has a default in .env.example"
        else:
            assert (operator, rest) == (":-", known[name]), name
    assert not re.search(r"(?<!\$)\$[A-Za-z_]", TEXT), "a variable without braces"


def test_git_ignores_the_secrets() -> None:
    assert ".env" in (DOCKER / ".gitignore").read_text().split()


@each_service
def test_secrets_are_nowhere_but_in_variables(name: str) -> None:
    for key, value in (SERVICES[name].get("environment") or {}).items():
        if re.search("TOKEN|SECRET|ACCESS_KEY|PASSWORD", key):
            assert re.fullmatch(r"\$\{(\w+):\?[^}]+\}", value), key


@each_service
def test_a_service_has_no_more_rights_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    if name == "store-folder":  # gives the volume to the store's user, and ends
        assert service["cap_add"] == ["CHOWN"]
        assert service["network_mode"] == "none"
        assert service["environment"] == {}
        assert "restart" not in service
    else:
        assert "cap_add" not in service
        assert service.get("user", f"{USER}:{USER}") == f"{USER}:{USER}"
        assert "network_mode" not in service


@each_service
def test_ports_are_bound_to_loopback(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:\$\{\w+:-(\d+)\}:\1", port)
        assert port.rpartition(":")[2] in str(SERVICES[name]["command"])


def test_images_are_pinned_and_ours_is_one() -> None:
    images = {name: service["image"] for name, service in SERVICES.items()}
    assert {image for name, image in images.items() if name != "store"} == {IMAGE}
    assert re.fullmatch(r"versity/versitygw:v\d+\.\d+\.\d+", images["store"])
    for name, service in SERVICES.items():
        if name != "store":
            assert service["build"] == {"context": "..", "dockerfile": "docker/Dockerfile"}
            assert (FILE.parent / service["build"]["context"] / service["build"]["dockerfile"]).resolve() == (
                DOCKER / "Dockerfile"
            )
            assert service["pull_policy"] == "build", "a registry could answer with another image of that name"


@each_service
def test_what_a_service_waits_for_exists(name: str) -> None:
    for other, how in SERVICES[name].get("depends_on", {}).items():
        target = SERVICES[other]
        if how["condition"] == "service_healthy":
            assert "test" in target["healthcheck"], f"{other} never becomes healthy"
        else:
            assert how["condition"] == "service_completed_successfully"
            assert "restart" not in target, f"{other} would start again"


def test_addresses_name_services_and_their_ports() -> None:
    addresses = set(re.findall(r"(?:http://|address=|POMONA_RAY_HEAD: )([a-z-]+):(\d+)", TEXT))
    assert addresses == {("store", "7070"), ("head", "6379")}
    for name, port in addresses:
        assert port in str(SERVICES[name]["command"])


def test_named_volumes_are_declared() -> None:
    declared = compose()["volumes"].keys()
    used = {
        source
        for service in SERVICES.values()
        for volume in service.get("volumes", [])
        for source, colon, _ in [volume.partition(":")]
        if colon and re.fullmatch(r"[a-z]\w*", source)
    }
    assert used == declared
    assert all("/tmp" in SERVICES[name]["volumes"] for name in SERVICES if name != "store-folder")


def test_every_ray_node_asks_for_the_token() -> None:
    nodes = {name for name, service in SERVICES.items() if service.get("entrypoint") == ["ray"]} | {"pomona"}
    assert nodes == {"head", "worker", "pomona"}
    for name in nodes:
        assert SERVICES[name]["environment"]["RAY_AUTH_MODE"] == "token"
        assert "RAY_AUTH_TOKEN" in SERVICES[name]["environment"]


@pytest.mark.parametrize("name", ["head", "worker"])
def test_rays_objects_fit_into_shared_memory(name: str) -> None:
    (store,) = [
        int(word.partition("=")[2]) for word in SERVICES[name]["command"] if word.startswith("--object-store-memory")
    ]
    assert SERVICES[name]["shm_size"] == "1gb"
    assert 80_000_000 <= store < 2**30


@pytest.mark.parametrize("name", ["head", "worker"])
def test_ray_knows_the_options(name: str) -> None:
    from ray.scripts.scripts import start

    words = [re.sub(r"\$\{\w+:-(\d+)\}", r"\1", word) for word in SERVICES[name]["command"]]
    assert words[0] == "start"
    context = start.make_context("start", words[1:])
    assert context.params["block"] is True
    assert context.params["head"] is (name == "head")


def test_the_command_in_the_file_is_right() -> None:
    (words,) = re.findall(r"docker compose -f docker/compose\.yaml run --rm (pomona .+)", TEXT)
    check_command(words)
    assert recipe_of(words).is_file()
    assert "--address auto" in words
    assert "--out s3://pomona/" in words
    assert SERVICES["bucket"]["command"] == ["pomona"]
    mounted = [volume for volume in SERVICES["pomona"]["volumes"] if volume.endswith(":/recipes:ro")]
    assert mounted == ["${RECIPES:-./recipes}:/recipes:ro"]
    assert (FILE.parent / "recipes").samefile(ROOT / "docker" / "recipes")

"""The page on deployment says what the files hold."""

from __future__ import annotations

import re

from tests.docker.conftest import DOCKER, IMAGE, KUBERNETES, ROOT, check_command, objects, recipe_of

PAGE = (ROOT / "docs" / "deploy.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE, re.S)


def test_every_command_of_pomona_is_right() -> None:
    commands = re.findall(r"run --rm (pomona .+)", "".join(BLOCKS))
    assert commands
    for command in commands:
        check_command(command)
        assert recipe_of(command).is_file()


def test_the_files_it_names_exist() -> None:
    made = {"docker/.env"}
    named = set(re.findall(r"(?<![\w/.])docker/[\w./-]*\w", "".join(BLOCKS))) - made
    assert {"docker/compose.yaml", "docker/kubernetes/build.yaml"} <= named
    assert [name for name in named if not (ROOT / name).exists()] == []
    table = re.findall(r"^\| (`[^|]+`) \|", PAGE, re.M)
    assert {name for cell in table for name in re.findall(r"`([^`]+)`", cell)} >= {
        file.name for file in DOCKER.iterdir() if file.is_file() and file.name != ".gitignore"
    }


def test_the_secrets_it_makes_are_those_the_manifests_read() -> None:
    made = {
        name: set(re.findall(r"--from-literal=(\w+)=", keys))
        for name, keys in re.findall(r"create secret generic (\S+) (.+)", PAGE)
    }
    assert made == {each["metadata"]["name"]: set(each["stringData"]) for each in objects("secret.example.yaml")}
    assert "create configmap pomona-recipes --from-file=docker/recipes" in PAGE
    assert "name: pomona-recipes" in (KUBERNETES / "cluster.yaml").read_text()


def test_the_images_it_names_are_those_of_the_files() -> None:
    assert set(re.findall(r"(?<![\w-])pomona:\d\S*", PAGE)) == {IMAGE}
    (base,) = re.findall(r"^ARG BASE=(\S+)$", (DOCKER / "Dockerfile").read_text(), re.M)
    assert set(re.findall(r"python:[\w.-]+", PAGE)) == {base}

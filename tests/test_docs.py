"""What the pages say is true of the program: recipes are right, commands exist, links lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from filters import families, family
from filters.line_family import line_signals
from pipelines.cli import app
from pipelines.mixture_presets import PRESETS
from pipelines.recipe import BlockUse, Dedup, Filters, Recipe, RuleUse, StageMix, TokenizerUse
from pipelines.recipe_checks import COUNTED
from pipelines.rules import drafts
from pipelines.steps.dedup import configured
from trainer.recipe import TrainConfig

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path, kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", page.read_text(), re.S)


def test_the_recipe_in_the_readme_is_right() -> None:
    (text,) = blocks(ROOT / "README.md", "yaml")
    value = yaml.safe_load(text)
    recipe = Recipe.model_validate(value)
    assert len(text.splitlines()) <= 34
    assert TrainConfig.model_validate(recipe.train).stages.keys() == recipe.stages.keys()


def test_the_training_section_in_the_docs_is_right() -> None:
    (text,) = blocks(ROOT / "docs" / "trainer.md", "yaml")
    assert TrainConfig.model_validate(yaml.safe_load(text)["train"])


@pytest.mark.parametrize("page", ["filters", "language", "recipe", "rules"])
def test_the_rules_in_the_docs_are_right(page: str) -> None:
    """As far as they can be without their files: models, signals that a page's other lines would measure."""
    seen = 0
    for text in blocks(ROOT / "docs" / f"{page}.md", "yaml"):
        value = yaml.safe_load(text)
        filters = Filters.model_validate(value.get("filters", {}))
        assert set(filters.families) <= set(families())
        uses = [*filters.rules, *map(RuleUse.model_validate, value.get("rules", ()))]
        known = {f"{name}.{signal}" for name in families() for signal in family(name).signals}
        known |= {*line_signals(), *COUNTED, "language.score"}
        assert {rule.signal for rule in drafts(uses)} <= known
        seen += len(uses) + len([BlockUse.model_validate(one) for one in value.get("blocks", ())])
    assert seen


def test_the_sections_on_duplicates_in_the_docs_are_right() -> None:
    found = [yaml.safe_load(text)["dedup"] for text in blocks(ROOT / "docs" / "dedup.md", "yaml")]
    settings = [Dedup.model_validate(one) for one in found]
    assert {"protect", "index", "url", "order"} <= set(found[0]) | set(found[1])
    assert configured(settings[0]).edit_similarity == 0.8


def test_the_tokenizers_and_packings_in_the_docs_are_right() -> None:
    found = [yaml.safe_load(text)["tokenizer"] for text in blocks(ROOT / "docs" / "tokenizers.md", "yaml")]
    settings = [TokenizerUse.model_validate(one) for one in found]
    assert [one.vocab_size for one in settings[:2]] == [49_152, 32_768]
    assert settings[2].file is not None
    (text,) = blocks(ROOT / "docs" / "loading.md", "yaml")
    train = TrainConfig.model_validate(yaml.safe_load(text)["train"])
    assert (train.stages["core"].packing, train.prefetch) == ("best_fit", 2)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_options_exist(page: Path) -> None:
    group = get_command(app)
    assert hasattr(group, "commands")
    lines = [line for block in blocks(page, "") for line in block.splitlines()]
    for line in lines:
        if not re.match(r"(\.venv/bin/)?pomona ", line):
            continue
        words = shlex.split(line.partition("#")[0])
        command = group.commands[words[1]]
        if hasattr(command, "commands"):  # `pomona jobs logs`
            command = command.commands[words[2]]
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words[2:] if word.startswith("--")} <= known, line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def test_every_command_has_help_with_an_example() -> None:
    from typer.testing import CliRunner

    for name in get_command(app).commands:  # type: ignore[attr-defined]
        done = CliRunner().invoke(app, [name, "--help"])
        assert done.exit_code == 0
        assert "Example:" in done.output, name


def test_the_stages_in_the_docs_are_right() -> None:
    found = [yaml.safe_load(text)["stages"] for text in blocks(ROOT / "docs" / "mixtures.md", "yaml")]
    stages = [StageMix.model_validate(stage) for one in found for stage in one.values()]
    assert any(stage.entries for stage in stages)
    assert any(stage.schedule for stage in stages)
    text = (ROOT / "docs" / "mixtures.md").read_text()
    for name, preset in PRESETS.items():
        (line,) = re.findall(rf"^\| `{name}` \| (.*?) \|", text, re.M)
        assert (preset.unpublished == ()) == ("ours" not in line), name
        for role, share in preset.shares.items():
            # What a table says of Nemotron-4's second stage is that it is the first with a part more.
            assert f"{role} {100 * share:g}" in line or name == "nemotron4_continued", (name, role)

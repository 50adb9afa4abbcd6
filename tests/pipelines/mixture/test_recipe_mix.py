"""Stages as a recipe says them: presets by role, schedules, and mistakes answered with numbers and valid choices."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.mixture_presets import PRESETS
from pipelines.recipe import StageMix


def roles(*names: str, **shares: float) -> list[dict[str, Any]]:
    return [{"name": name, "sources": [name], **({"share": shares[name]} if name in shares else {})} for name in names]


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_makes_a_stage_whose_shares_sum_to_one_and_says_where_they_are_from(name: str) -> None:
    preset = PRESETS[name]
    mix = StageMix.model_validate({"preset": name, "entries": roles(*preset.roles), "tokens": 1000})
    assert sum(mix.shares().values()) == pytest.approx(1)
    assert mix.tokens == 1000
    assert set(preset.unpublished) <= set(preset.roles)
    assert "arXiv" in preset.source or preset.unpublished == preset.roles
    again = StageMix.model_validate(mix.model_dump(mode="json"))
    assert again == mix


def test_published_shares_are_as_published() -> None:
    """Llama 3.1 sec 3.1.2 and 3.1.3, Nemotron-4 sec 2.1, and the budgets of AFM sec 3.2."""
    llama = StageMix.model_validate({"preset": "llama3", "entries": roles("general", "math", "code", "multilingual")})
    assert llama.shares() == {"general": 0.5, "math": 0.25, "code": 0.17, "multilingual": 0.08}
    anneal = StageMix.model_validate({"preset": "llama3_anneal", "entries": roles("new", "default")})
    assert (anneal.shares(), anneal.tokens) == ({"new": 0.3, "default": 0.7}, 40_000_000_000)
    nemotron = StageMix.model_validate({"preset": "nemotron4", "entries": roles("english", "multilingual", "code")})
    assert (nemotron.shares()["english"], nemotron.tokens) == (0.7, 8_000_000_000_000)
    assert [PRESETS[f"afm_{stage}"].tokens for stage in ("core", "continued", "context")] == [
        63 * 10**11,
        10**12,
        10**11,
    ]
    assert not any(PRESETS[f"afm_{stage}"].published for stage in ("core", "continued", "context"))
    assert PRESETS["llama3"].published
    assert PRESETS["nemotron4"].published
    # Of Nemotron-4's second stage only the budget and what weighs more are told: none of its shares.
    continued = PRESETS["nemotron4_continued"]
    assert (continued.tokens, set(continued.unpublished)) == (10**12, set(continued.roles))
    # 6 · parameters · tokens, as the report counts: 3.8e25 FLOPs of a model of 405B parameters.
    assert 6 * 405e9 * float(PRESETS["llama3"].tokens or 0) == pytest.approx(3.8e25, rel=0.01)


def test_minicpm_mixes_in_high_quality_and_instruction_data_while_it_decays() -> None:
    entries = roles("pretrain", "high_quality", "instruction")
    mix = StageMix.model_validate({"preset": "minicpm", "entries": entries, "tokens": 1000})
    (stable, first), (decay, second) = mix.phases()
    assert (stable, decay) == (0.9, pytest.approx(0.1))
    assert first["pretrain"] == 1
    assert second["high_quality"] > 0 < second["instruction"]


def test_a_share_of_ones_own_goes_before_the_preset_s_and_must_still_sum() -> None:
    entries = roles("general", "math", "code", "multilingual", general=0.58, multilingual=0.0)
    mix = StageMix.model_validate({"preset": "llama3", "entries": entries})
    assert mix.shares()["general"] == 0.58
    with pytest.raises(
        ValueError, match=r"weights sum to 1.1, expected 1; in proportion that would be \{general: 0.5455"
    ):
        StageMix.model_validate(
            {"preset": "llama3", "entries": roles("general", "math", "code", "multilingual", general=0.6)}
        )


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"preset": "llama", "tokens": 1}, r"no preset 'llama'; did you mean 'llama3'\?"),
    ({"preset": "llama3"}, r"says shares by role.*\{name: general, sources: \[...\]\}"),
    ({"preset": "minicpm", "entries": roles("pretrain")}, "names no budget"),
    (
        {"preset": "llama3", "entries": roles("general", "math", "code")},
        r"no entry is named multilingual.*without it, in proportion: general: 0.5435, math: 0.2717, code: 0.1848",
    ),
    (
        {"preset": "llama3", "entries": roles("general", "math", "code", "multilingual", "maths")},
        r"no role 'maths'; did you mean 'math'\?",
    ),
    ({"weights": {"a": 0.5, "b": 0.6}, "tokens": 1}, r"sum to 1.1, expected 1; in proportion.*a: 0.4545, b: 0.5455"),
    ({"tokens": 1}, "no weights: name at least one source"),
    (
        {"weights": {"a": 1}, "entries": roles("a", a=1), "tokens": 1},
        "given twice, by weights and by shares of entries",
    ),
    ({"entries": roles("a", "b", a=1), "tokens": 1}, "no share for b"),
    ({"entries": roles("a", "a", a=0.5), "tokens": 1}, "given twice: a"),
    ({"entries": roles("web", "code"), "weights": {"web": 0.5, "cod": 0.5}, "tokens": 1}, "did you mean 'code'"),
    ({"weights": {"a": 1}, "epochs": {"aa": 2}, "tokens": 1}, "epochs: no entry 'aa'; did you mean 'a'"),
    ({"weights": {"a": 1}, "epochs": 0, "tokens": 1}, "greater than 0"),
    ({"schedule": {"points": [{"at": 0.1, "weights": {"a": 1}}]}, "tokens": 1}, "training begins at 0"),
    ({"schedule": {"points": [{"at": 0, "weights": {"a": 0.7}}]}, "tokens": 1}, "sum to 0.7"),
    (
        {"schedule": {"points": [{"at": at, "weights": {"a": 1}} for at in (0, 0.5, 0.5)]}, "tokens": 1},
        "points must rise; found 0, 0.5, 0.5",
    ),
    (
        {"schedule": {"points": [{"at": at, "weights": {"a": 1}} for at in (0, 1)]}, "tokens": 1},
        "its shares would never hold",
    ),
]


@pytest.mark.parametrize(("given", "told"), WRONG)
def test_mistakes_are_answered_with_what_would_be_right(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        StageMix.model_validate(given)


def test_weights_of_before_mean_what_they_meant() -> None:
    mix = StageMix(weights={"web": 0.6, "code": 0.4}, tokens=10, epochs={"web": 2})
    assert [(entry.name, entry.sources) for entry in mix.selected()] == [("web", ("web",)), ("code", ("code",))]
    assert (mix.cap("web"), mix.cap("code")) == (2, 4)
    assert mix.phases() == [(1.0, {"web": 0.6, "code": 0.4})]


def test_entries_may_stand_under_their_names_as_a_preset_s_roles_do() -> None:
    roles_of = {"general": "web", "math": ["maths", "docs"], "code": {"kinds": ["code"]}, "multilingual": {}}
    mix = StageMix.model_validate({"preset": "llama3", "entries": roles_of})
    listed = [
        {"name": "general", "sources": ["web"]},
        {"name": "math", "sources": ["maths", "docs"]},
        {"name": "code", "kinds": ["code"]},
        {"name": "multilingual"},
    ]
    assert mix == StageMix.model_validate({"preset": "llama3", "entries": listed})
    assert [entry.name for entry in mix.entries] == list(roles_of)


def test_caps_of_entries_go_before_the_stage_s() -> None:
    entries = [{"name": "a", "share": 0.5, "epochs": 1.5}, {"name": "b", "share": 0.5}]
    mix = StageMix.model_validate({"entries": entries, "tokens": 10, "epochs": 3})
    assert (mix.cap("a"), mix.cap("b")) == (1.5, 3)


def test_linear_schedules_are_cut_where_shares_change_and_only_there() -> None:
    points = [(0, 0.8), (0.5, 0.8), (0.9, 0.4), (1, 0.4)]
    given = [{"at": at, "weights": {"a": share, "b": 1 - share}} for at, share in points]
    mix = StageMix.model_validate({"schedule": {"points": given, "interpolate": "linear", "pieces": 4}, "tokens": 10})
    phases = mix.phases()
    assert [length for length, _ in phases] == pytest.approx([0.5, 0.1, 0.1, 0.1, 0.1, 0.1])
    assert [shares["a"] for _, shares in phases] == pytest.approx([0.8, 0.75, 0.65, 0.55, 0.45, 0.4])
    assert mix.shares()["a"] == pytest.approx(0.5 * 0.8 + 0.4 * 0.6 + 0.1 * 0.4)

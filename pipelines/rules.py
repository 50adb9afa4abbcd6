"""A recipe's rules written out: presets with their changes, single signals, restrictions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pipelines.recipe import Bounds, RuleUse

if TYPE_CHECKING:
    from filters import Rule


def resolved(uses: Iterable[RuleUse]) -> list[Rule]:
    """Return the rules in the recipe's order, each with a name of its own.

    Raises ValueError for an unknown preset, or a `set` of a signal that the preset has no rule on.
    """
    found: list[Rule] = []
    names: dict[str, int] = {}
    for use in uses:
        restriction = {"sources": use.sources, "kinds": use.kinds, "languages": use.languages}
        for rule in _of(use):
            names[rule.name] = names.get(rule.name, 0) + 1
            name = rule.name if names[rule.name] == 1 else f"{rule.name}-{names[rule.name]}"
            found.append(rule.model_copy(update={**restriction, "name": name}))
    return found


def _of(use: RuleUse) -> list[Rule]:
    import filters

    if use.signal is not None:
        name = use.name or use.signal.replace(".", "-").replace("_", "-")
        return [filters.Rule(name=name, signal=use.signal, min=use.min, max=use.max)]
    assert use.preset is not None  # the recipe's own check
    rules = filters.rules(use.preset)
    known = {rule.signal for rule in rules}
    for signal in use.set:
        if signal not in known:
            from pipelines.recipe_errors import nearest

            raise ValueError(f"preset {use.preset!r} has no rule on {signal!r}{nearest(signal, known)}")
    changed = [_changed(rule, use.set.get(rule.signal)) for rule in rules]
    return [rule for rule in changed if rule is not None]


def _changed(rule: Rule, bounds: Bounds | None) -> Rule | None:
    """Return the rule with new bounds; None when its last bound was removed."""
    if bounds is None:
        return rule
    update = {name: getattr(bounds, name) for name in bounds.model_fields_set if getattr(rule, name) is not None}
    low, high = update.get("min", rule.min), update.get("max", rule.max)
    return None if low is None and high is None else rule.model_copy(update={"min": low, "max": high})

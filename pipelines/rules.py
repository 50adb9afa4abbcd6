"""A recipe's rules written out: presets with their changes, single signals, restrictions, numbers as bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pipelines.recipe import Adaptive, Bound, RuleUse

if TYPE_CHECKING:
    from filters import Rule
    from filters.rule import Action

Thresholds = Callable[[str, Adaptive], Mapping[str, float]]
"""A signal and an adaptive bound on it → the bound of each language that the reference has enough documents of."""

NO_TEXT: Final = "no-text-left"
"""The rule that drops documents of which the line rules leave nothing; it stands behind the recipe's own."""


@dataclass(frozen=True)
class Draft:
    """A rule before its adaptive bounds are known."""

    name: str
    signal: str
    min: Bound | None
    max: Bound | None
    action: Action
    sources: tuple[str, ...]
    kinds: tuple[str, ...]
    languages: tuple[str, ...]
    second_languages: tuple[str, ...] = ()

    @property
    def adaptive(self) -> list[Adaptive]:
        """Its adaptive bounds."""
        return [bound for bound in (self.min, self.max) if isinstance(bound, Adaptive)]


def drafts(uses: Iterable[RuleUse]) -> list[Draft]:
    """Return the rules in the recipe's order, each with a name of its own.

    Raises ValueError for an unknown preset, a `set` of a signal that the preset has no rule on, or an action that does
    not go with a signal.
    """
    found: list[Draft] = []
    names: dict[str, int] = {}
    for use in uses:
        for name, signal, low, high, action in _of(use):
            names[name] = names.get(name, 0) + 1
            own = name if names[name] == 1 else f"{name}-{names[name]}"
            scopes = (use.sources, use.kinds, use.languages, use.second_languages)
            draft = Draft(own, signal, low, high, action, *scopes)
            if action == "drop_line" and draft.adaptive:
                raise ValueError(
                    f"rule {own}: {signal} is measured on lines, which no reference keeps; give its bounds as numbers"
                )
            _fixed(draft, 0.0)  # says what is wrong with action and signal
            found.append(draft)
    return found


def resolved(uses: Iterable[RuleUse], thresholds: Thresholds | None = None) -> list[Rule]:
    """Return the rules with numbers as bounds; one with adaptive bounds becomes a rule for each language.

    Without `thresholds` no language has a bound of its own. Raises ValueError as `drafts`, and where adaptive bounds
    leave nothing between them.
    """
    import filters

    found = [rule for draft in drafts(uses) for rule in _settled(draft, thresholds)]
    if any(rule.action == "drop_line" for rule in found):
        found.append(filters.Rule(name=NO_TEXT, signal="lines.kept", min=1))
    return found


def of_lines(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """Return the rules that drop lines, which come before measuring."""
    return tuple(rule for rule in rules if rule.action == "drop_line")


def of_documents(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """Return the rules that are asked of documents."""
    return tuple(rule for rule in rules if rule.action != "drop_line")


_Parts = tuple[str, str, "Bound | None", "Bound | None", "Action"]


def _of(use: RuleUse) -> list[_Parts]:
    import filters
    from filters.rule import is_line_signal

    if use.signal is not None:
        name = use.name or use.signal.replace(".", "-").replace("_", "-")
        action: Action = use.action or ("drop_line" if is_line_signal(use.signal) else "drop")
        return [(name, use.signal, use.min, use.max, action)]
    assert use.preset is not None  # the recipe's own check
    rules = filters.rules(use.preset)
    known = {rule.signal for rule in rules}
    for signal in use.set:
        if signal not in known:
            from pipelines.recipe_errors import nearest

            raise ValueError(f"preset {use.preset!r} has no rule on {signal!r}{nearest(signal, known)}")
    found: list[_Parts] = []
    for rule in rules:
        low, high = _changed(rule, use)
        if low is not None or high is not None:
            found.append((rule.name, rule.signal, low, high, use.action or rule.action))
    return found


def _changed(rule: Rule, use: RuleUse) -> tuple[Bound | None, Bound | None]:
    """Return a preset's bounds with those that `set` changes; None for both when its last bound was removed."""
    bounds = use.set.get(rule.signal)
    if bounds is None:
        return rule.min, rule.max
    update = {name: getattr(bounds, name) for name in bounds.model_fields_set if getattr(rule, name) is not None}
    return update.get("min", rule.min), update.get("max", rule.max)


def _settled(draft: Draft, thresholds: Thresholds | None) -> list[Rule]:
    """Write a draft as rules: one, or one for each language of a reference and one for all others."""
    if not draft.adaptive:
        return _rule(draft, draft.name, draft.min, draft.max, draft.languages, ())
    known = [
        thresholds(draft.signal, bound) if thresholds is not None and isinstance(bound, Adaptive) else {}
        for bound in (draft.min, draft.max)
    ]
    languages = sorted({*known[0], *known[1]})
    if draft.languages:
        languages = [language for language in languages if language in draft.languages]
    found: list[Rule] = []
    for language in languages:
        low, high = (
            one.get(language, bound.otherwise) if isinstance(bound, Adaptive) else bound
            for bound, one in zip((draft.min, draft.max), known, strict=True)
        )
        found += _rule(draft, f"{draft.name}-{language}", low, high, (language,), ())
    others = tuple(language for language in draft.languages if language not in languages)
    if draft.languages and not others:
        return found
    return [*found, *_fixed(draft, None, others, () if draft.languages else tuple(languages))]


def _fixed(
    draft: Draft, stand_in: float | None, languages: tuple[str, ...] = (), excepted: tuple[str, ...] = ()
) -> list[Rule]:
    """Write a draft with what its adaptive bounds are otherwise, or with a number in their place."""
    low, high = (
        (bound.otherwise if stand_in is None else stand_in) if isinstance(bound, Adaptive) else bound
        for bound in (draft.min, draft.max)
    )
    if stand_in is not None and draft.adaptive:  # only signal and action are asked about
        low, high = (None if bound is None else stand_in for bound in (low, high))
    return _rule(draft, draft.name, low, high, languages, excepted)


def _rule(
    draft: Draft,
    name: str,
    low: Any,
    high: Any,
    languages: tuple[str, ...],
    excepted: tuple[str, ...],
) -> list[Rule]:
    from pydantic import ValidationError

    import filters

    if low is None and high is None:
        return []
    try:
        rule = filters.Rule(
            name=name,
            signal=draft.signal,
            min=low,
            max=high,
            action=draft.action,
            sources=draft.sources,
            kinds=draft.kinds,
            languages=languages,
            except_languages=excepted,
            second_languages=draft.second_languages,
        )
    except ValidationError as error:  # what a rule says of itself, without pydantic's frame
        raise ValueError(str(error.errors()[0].get("ctx", {}).get("error", error))) from error
    return [rule]

"""Changes to a run's rules, as `pomona whatif --set` takes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import yaml
from pydantic import ValidationError

from filters import Rule
from pipelines.recipe_errors import RecipeError, nearest

FIELDS: Final = ("min", "max", "action", "sources", "kinds", "languages", "except_languages", "second_languages")


@dataclass(frozen=True)
class Change:
    """One rule before and after: its fields, None where it was not there, or is no more."""

    rule: str
    signal: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


def changed(rules: Sequence[Rule], sets: Sequence[str], signals: Sequence[str]) -> tuple[list[Rule], list[Change]]:
    """Apply changes to rules; return the new rules and what is different.

    A change is `RULE=NUMBER` (of a rule with one bound), `RULE.FIELD=VALUE` for the fields min, max, action, sources,
    kinds, languages, except_languages and second_languages (`null` removes a bound), or `RULE=off`. A signal may stand
    for the only rule on it (with such a bound); `SIGNAL.min=NUMBER` of a measured signal without a rule makes one.

    Raises RecipeError with every mistake found.
    """
    if not sets:
        raise RecipeError(["no --set: name a change, for example --set gopher-few-words.min=80"])
    now = {rule.name: rule for rule in rules}
    problems: list[str] = []
    for given in sets:
        try:
            _apply(now, given, signals)
        except ValueError as error:
            problems.append(f"--set {given}: {error}")
    if problems:
        raise RecipeError(problems)
    was = {rule.name: rule for rule in rules}
    names = [*was, *(name for name in now if name not in was)]
    changes = [Change(name, _signal(was, now, name), _fields(was, name), _fields(now, name)) for name in names]
    return list(now.values()), [change for change in changes if change.before != change.after]


def _apply(now: dict[str, Rule], given: str, signals: Sequence[str]) -> None:
    key, equals, text = given.partition("=")
    if not equals or not key:
        raise ValueError("expected RULE=NUMBER, RULE.min=NUMBER, RULE.action=tag or RULE=off")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"the value is not valid YAML: {error}") from error
    name, field = _named(now, key, signals)
    rule = now.get(name)
    if rule is not None and rule.action == "drop_line":
        raise ValueError(
            f"rule {name!r} drops lines, and what another bound leaves of the texts would have to be measured; "
            "`pomona build RECIPE --set …` does that"
        )
    if field is None:
        assert rule is not None  # a key without a field names a rule
        if value == "off" or value is False:  # YAML 1.1 reads `off` as false
            del now[name]
            return
        field = _only_bound(rule)
    if field in ("min", "max") and (isinstance(value, bool) or not isinstance(value, int | float | None)):
        raise ValueError(f"found {text!r}, expected a number, or null for no bound")
    made: dict[str, Any] = {"name": name, "signal": key.rpartition(".")[0]}
    fields = made if rule is None else rule.model_dump()
    fields[field] = value
    if fields.get("min") is None and fields.get("max") is None:
        now.pop(name, None)  # its last bound is gone
        return
    try:
        now[name] = Rule.model_validate(fields)
    except ValidationError as error:
        told = error.errors()[0]
        raise ValueError(str(told.get("ctx", {}).get("error", told["msg"]))) from error


def _named(now: dict[str, Rule], key: str, signals: Sequence[str]) -> tuple[str, str | None]:
    """Return the rule that a key names, and the field of it."""
    head, _, last = key.rpartition(".")
    for name, field in ((key, None), (head, last)):
        if field is not None and field not in FIELDS:
            continue
        if name in now:
            return name, field
        on_signal = [
            rule.name
            for rule in now.values()
            if rule.signal == name and (field not in ("min", "max") or getattr(rule, field) is not None)
        ] or [rule.name for rule in now.values() if rule.signal == name]
        if len(on_signal) > 1:
            raise ValueError(f"{len(on_signal)} rules are on the signal {name!r}; name one: {', '.join(on_signal)}")
        if on_signal:
            return on_signal[0], field
        if name in signals and field in ("min", "max"):
            return name.replace(".", "-").replace("_", "-"), field
    if key in signals:
        raise ValueError(f"no rule is on the signal {key!r}; say which bound: {key}.min=… or {key}.max=…")
    if head in now:
        raise ValueError(f"rule {head!r} has no field {last!r}{nearest(last, FIELDS)}")
    wanted = head if last in FIELDS else key
    names: Iterable[str] = now or signals
    known = [*now, *(rule.signal for rule in now.values()), *signals]
    close = nearest(wanted, known).partition("valid here")[0].strip("; ")
    raise ValueError(f"no rule {wanted!r}{f'; {close}' if close else ''}; rules of this run: {', '.join(names)}")


def _only_bound(rule: Rule) -> str:
    bounds = [name for name in ("min", "max") if getattr(rule, name) is not None]
    if len(bounds) > 1:
        raise ValueError(f"rule {rule.name!r} has two bounds; say which: {rule.name}.min=… or {rule.name}.max=…")
    return bounds[0]


def _fields(rules: dict[str, Rule], name: str) -> dict[str, Any] | None:
    rule = rules.get(name)
    return None if rule is None else rule.model_dump(mode="json", exclude={"name", "signal"}, exclude_defaults=True)


def _signal(was: dict[str, Rule], now: dict[str, Rule], name: str) -> str:
    return (was.get(name) or now[name]).signal

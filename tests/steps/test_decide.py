"""Rules, refusals and redaction over documents: all failing rules are told, refusals come first."""

from __future__ import annotations

import json
import pydoc_data.topics
from pathlib import Path

import pyarrow as pa
import pytest

from pipelines import rules
from pipelines.document import DOCUMENT_SCHEMA, document_id, documents
from pipelines.recipe import Bounds, Consent, Filters, RuleUse
from pipelines.steps import decide, measure

TOPICS = list(pydoc_data.topics.topics.items())[:30]


def table(**rights: str) -> pa.Table:
    rows = [
        {
            "id": document_id("s", name, text.encode()),
            "uri": f"http://a.test/{name}",
            "source": "s",
            "kind": "web",
            "text": text + "\nWrite to jane.doe@gmail.com from 8.8.8.8.",
            "rights": {"robots_rule": None, **rights} if rights and number % 2 else None,
        }
        for number, (name, text) in enumerate(TOPICS)
    ]
    found = documents(rows)
    signals = measure.signals(found["text"], Filters(families=("gopher", "pii")))
    for name in signals.column_names:
        found = found.append_column(signals.schema.field(name), signals[name])
    return found


def applied(uses: list[RuleUse], rows: pa.Table, consent: Consent | None = None) -> dict[str, pa.Table]:
    chosen = tuple(rules.resolved(uses))
    return dict(decide.Decide(consent or Consent(), chosen, ("email", "ip"))(rows))


def test_every_row_has_a_verdict_and_all_failing_rules_are_evidence() -> None:
    rows = table()
    out = applied([RuleUse(signal="gopher.words", min=400), RuleUse(signal="gopher.words", max=600, name="long")], rows)
    ledger = out["ledger"].to_pylist()
    assert len(ledger) == rows.num_rows
    words = rows["gopher.words"].to_pylist()
    for row, count in zip(ledger, words, strict=True):
        expected = "gopher-words" if count < 400 else "long" if count > 600 else ""
        assert row["reason"] == expected
        if expected:
            failed = json.loads(row["evidence"])["failed"]
            assert [one["rule"] for one in failed] == [expected]
            assert failed[0]["value"] == row["value"] == count
            assert row["threshold"] == (400 if count < 400 else 600)
        else:
            assert row["evidence"] is None
    assert out["documents"].num_rows == sum(row["verdict"] == "kept" for row in ledger) > 0


def test_kept_texts_are_redacted() -> None:
    for text in applied([], table())["documents"]["text"].to_pylist():
        assert "jane.doe@gmail.com" not in text
        assert "8.8.8.8" not in text


@pytest.mark.parametrize(
    ("rights", "refused"),
    [
        ({"x_robots_tag": "noai, noimageai"}, True),
        ({"x_robots_tag": "otherbot: NOAI"}, True),
        ({"meta_robots": "none"}, True),
        ({"reservation": "tdm-reservation: 1; tdm-policy: https://a.test/p"}, True),
        ({"reservation": "tdm-reservation: 0"}, False),
        ({"x_robots_tag": "noimageai"}, False),
        ({"meta_robots": "nonexistent"}, False),
    ],
)
def test_a_publishers_refusal_is_obeyed(rights: dict[str, str], refused: bool) -> None:
    ledger = applied([], table(**rights))["ledger"].to_pylist()
    reasons = {row["reason"] for row in ledger[1::2]}
    assert reasons == ({"consent-refused"} if refused else {""})
    assert {row["reason"] for row in ledger[::2]} == {""}
    if refused:
        assert json.loads(ledger[1]["evidence"])["stated"] in rights.values()


def test_a_preset_is_changed_by_signal_and_its_names_stay_unique() -> None:
    use = RuleUse(preset="gopher", set={"gopher.words": Bounds(min=80, max=None)}, kinds=("web",))
    found = rules.resolved([use, RuleUse(preset="gopher", kinds=("book",))])
    assert len({rule.name for rule in found}) == len(found)
    changed = [rule for rule in found if rule.signal == "gopher.words" and rule.kinds == ("web",)]
    assert [(rule.min, rule.max) for rule in changed] == [(80, None)]
    with pytest.raises(ValueError, match=r"no rule on 'gopher.wordz'; did you mean 'gopher.words'"):
        rules.resolved([RuleUse(preset="gopher", set={"gopher.wordz": Bounds(min=1)})])


def test_rules_see_only_what_they_are_restricted_to() -> None:
    rows = table()
    out = applied([RuleUse(signal="gopher.words", min=1e9, kinds=("book",))], rows)
    assert out["documents"].num_rows == rows.num_rows


CUT = [
    RuleUse(signal="line.words", name="few", min=3, sources=("s",)),
    RuleUse(preset="c4_lines", kinds=("book",)),
    RuleUse(signal="gopher.words", min=30),
    RuleUse(signal="pii.email", name="mail", max=0, action="redact", kinds=("web",)),
    RuleUse(signal="pii.ip", name="address", max=0, action="redact", kinds=("book",)),
    RuleUse(signal="gopher.words", name="long", max=600, action="tag"),
]


def cut(uses: list[RuleUse], rows: pa.Table) -> dict[str, pa.Table]:
    """Measure what line rules leave, then decide: as the two steps do."""
    chosen = rules.resolved(uses)
    rows = rows.select(DOCUMENT_SCHEMA.names)
    signals = measure.measures(rows, Filters(families=("gopher", "pii")), rules.of_lines(chosen))
    for name in signals.column_names:
        rows = rows.append_column(signals.schema.field(name), signals[name])
    made = decide.Decide(Consent(), rules.of_documents(chosen), (), rules.of_lines(chosen))
    whole, halves = made(rows), [made(rows.slice(0, 11)), made(rows.slice(11))]
    for name, found in whole.items():
        assert pa.concat_tables([half[name] for half in halves]).equals(found)
    return {**whole, "signals": rows}


def test_lines_are_dropped_before_measuring_and_told() -> None:
    given = table()
    out = cut(CUT, given)
    texts = {row["id"]: row["text"] for row in out["documents"].to_pylist()}
    told = {row["id"]: row for row in out["ledger"].to_pylist()}
    assert any(row["evidence"] and '"lines"' in row["evidence"] for row in told.values())
    for row, signals in zip(given.to_pylist(), out["signals"].to_pylist(), strict=True):
        lines = row["text"].splitlines()
        left = [line for line in lines if len(line.split()) >= 3]
        evidence = json.loads(told[row["id"]]["evidence"])
        gone = len(lines) - len(left)
        assert signals["lines.dropped"] == signals["lines.few"] == gone
        assert evidence.get("lines") == (
            {"count": len(lines), "dropped": gone, "rules": {"few": gone}} if gone else None
        )
        failed = [one["rule"] for one in evidence["failed"]]
        assert "mail" in failed
        assert "address" not in failed
        assert ("long" in failed) == (signals["gopher.words"] > 600)
        if row["id"] in texts:
            text = "\n".join(left).replace("jane.doe@gmail.com", "<EMAIL_ADDRESS>")
            assert texts[row["id"]] == text
            assert "8.8.8.8" in text
    assert len(texts) > 0
    measured = measure.signals(pa.array(["\n".join(left)]), Filters(families=("gopher", "pii")))
    assert measured["gopher.words"][0].as_py() == signals["gopher.words"]


def test_a_document_of_which_no_line_is_left_is_dropped() -> None:
    rows = table()
    out = cut([RuleUse(signal="line.words", min=10_000)], rows)
    assert out["documents"].num_rows == 0
    assert set(out["ledger"]["reason"].to_pylist()) == {"no-text-left"}
    assert set(out["ledger"]["value"].to_pylist()) == {0}


def test_line_rules_by_language_go_by_the_text_as_it_came() -> None:
    uses = [RuleUse(signal="line.words", name="few", min=3, languages=("en",))]
    signals = cut(uses, table())["signals"]
    assert set(signals["lines.language"].to_pylist()) >= {"en"}
    for language, gone in zip(signals["lines.language"].to_pylist(), signals["lines.few"].to_pylist(), strict=True):
        assert language == "en" or gone == 0


def test_a_preset_can_be_only_told() -> None:
    found = rules.resolved([RuleUse(preset="gopher", action="tag")])
    assert {rule.action for rule in found} == {"tag"}
    with pytest.raises(ValueError, match="'drop_line' goes with signals of lines"):
        rules.resolved([RuleUse(preset="gopher", action="drop_line")])
    with pytest.raises(ValueError, match="expected a signal of the family pii"):
        rules.resolved([RuleUse(signal="gopher.words", min=1, action="redact")])


BAD = "I hate all niggers, they should all be killed."


def blanked(texts: list[str], uses: list[RuleUse], blank_with: str = "") -> dict[str, pa.Table]:
    rows = documents(
        [
            {
                "id": document_id("s", str(number), text.encode()),
                "uri": f"http://a.test/{number}",
                "source": "s",
                "kind": "web",
                "text": text,
            }
            for number, text in enumerate(texts)
        ]
    )
    signals = measure.signals(rows["text"], Filters(families=("safety_sentences", "gopher")))
    for name in signals.column_names:
        rows = rows.append_column(signals.schema.field(name), signals[name])
    return dict(decide.Decide(Consent(), tuple(rules.resolved(uses)), ("email", "ip"), blank_with=blank_with)(rows))


def test_blanked_sentences_are_gone_and_the_ledger_says_where_they_stood() -> None:
    texts = [
        f"The café opens at nine. {BAD} Write to jane.doe@gmail.com then.",
        "Nothing to see here, we only sell coffee and cake.",
        BAD,
        f"{BAD}\nToo many words here for the other rule, which drops it, and so nothing of it is blanked at all.",
    ]
    uses = [
        RuleUse(signal="safety_sentences.hate_speech", max=0.4, name="hate", action="blank"),
        RuleUse(signal="gopher.words", max=20, name="long"),
    ]
    out = blanked(texts, uses)
    told = {row["uri"][-1]: row for row in out["ledger"].to_pylist()}
    kept = {row["uri"][-1]: row["text"] for row in out["documents"].to_pylist()}
    assert kept == {"0": "The café opens at nine.  Write to <EMAIL_ADDRESS> then.", "1": texts[1]}
    first = json.loads(told["0"]["evidence"])
    ((start, end),) = first["blanked"]["spans"]
    assert texts[0][start:end] == BAD
    assert first["blanked"]["rules"] == ["hate"] == [one["rule"] for one in first["failed"]]
    assert told["1"]["evidence"] is None
    assert (told["2"]["verdict"], told["2"]["reason"]) == ("dropped", "no-text-left")  # and never an empty document
    assert "blanked" in json.loads(told["2"]["evidence"])
    assert (told["3"]["verdict"], told["3"]["reason"]) == ("dropped", "long")
    assert "blanked" not in json.loads(told["3"]["evidence"])
    marked = blanked(texts, uses, "<BLANKED>")["documents"]["text"].to_pylist()
    assert sorted(marked) == sorted([kept["0"].replace("nine.  W", "nine. <BLANKED> W"), texts[1], "<BLANKED>"])


def test_blanking_goes_with_sentences_alone() -> None:
    with pytest.raises(ValueError, match="expected a signal of the family safety_sentences"):
        rules.resolved([RuleUse(signal="gopher.words", max=3, action="blank")])


def test_addresses_on_a_list_are_a_signal(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("a.test\n")
    rows = table()
    on = measure.measures(rows, Filters(families=("gopher",), domains={"ours": tmp_path / "list"}), ())
    assert set(on["domains.ours"].to_pylist()) == {1.0}
    (tmp_path / "other").write_text("b.test\n")
    off = measure.measures(rows, Filters(families=("gopher",), domains={"ours": tmp_path / "other"}), ())
    assert set(off["domains.ours"].to_pylist()) == {0.0}

"""The arithmetic of the scale plan and of the fit: figures that come out are products of what goes in."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from benchmarks.scale.fit import line
from benchmarks.scale.page import amount, growth, rewritten, told
from benchmarks.scale.plan import BANDS, MOST_PARTITIONS, Asked, planned
from pipelines.steps.dedup_components import ONE_TASK

RUN: dict[str, Any] = {
    "seconds": 110.0,
    "startup": 1.0,
    "listing": 0.4,
    "wall_seconds": 112.0,
    "cpu_seconds": 200.0,
    "peak_bytes": 1 << 30,
    "steps": {"01-extract-pages": 90.0, "03-decide": 9.0, "06-tokenizer": 3.6, "08-mix": 1.0},
    "accounts": {
        "01-extract-pages": {"in": 1000, "kept": 900},
        "03-decide": {"in": 900, "kept": 300},
        "04-dedup": {"in": 300, "kept": 250},
        "06-tokenizer": {"in": 0, "kept": 0},
        "08-mix": {"in": 250, "kept": 250},
    },
    "peaks": {"01-extract-pages": 1 << 30},
    "facts": {"04-dedup": {"candidates": 40}},
    "sizes": {
        "pages": 1000,
        "html_bytes": 50_000_000,
        "warc_bytes": 10_000_000,
        "rows": 1000,
        "row_bytes": 8_000_000,
        "documents": 900,
        "text_bytes": 7_000_000,
        "decided": 300,
        "decided_text_bytes": 3_000_000,
        "members": 50,
        "verdict_bytes": 5_000,
        "clean": 250,
        "clean_text_bytes": 2_500_000,
        "tokens": 500_000,
    },
}
RESULT: dict[str, Any] = {
    "machine": {"cores": 2, "memory_bytes": 8e9},
    "workers": 2,
    "runs": [RUN],
    "driver": {"bytes_an_edge": 64.0, "bytes_a_document": 100.0},
    "parted": {"partitions": [8, 258], "runs": [RUN, {**RUN, "seconds": 115.0}]},
}


def test_everything_grows_with_the_tokens() -> None:
    plan = planned(RESULT, Asked(tokens=1e12, price=0.04))
    factor = 1e12 / 500_000
    assert plan.pages == 1000 * factor
    assert plan.units == -(-int(10_000_000 * factor) // (64 << 20))
    assert plan.text_bytes == 7_000_000 * factor
    assert plan.edges == ONE_TASK  # more are joined in rounds, where no task holds them all
    assert plan.driver_edges_bytes == ONE_TASK * 64
    assert planned(RESULT, Asked(tokens=5e6, price=0.04)).edges == 40 * 10
    assert plan.driver_documents_bytes == 250 * factor * 100


def test_core_hours_are_seconds_times_workers_and_money_follows() -> None:
    plan = planned(RESULT, Asked(tokens=1e9, price=0.5, cores=100, cores_a_machine=10))
    steps = {step.name: step for step in plan.steps}
    assert steps["03-decide"].core_hours == pytest.approx(9.0 * 2 / 3600 * 2000)
    assert steps["03-decide"].records == 900 * 2000
    # The tokenizer's sample does not grow, and one process trains it.
    assert steps["06-tokenizer"].core_hours == pytest.approx(3.6 / 3600)
    assert plan.dollars == pytest.approx(plan.core_hours * 0.5)
    assert plan.machine_hours == pytest.approx(plan.core_hours / 10)
    # 6 s alone, and for 250 more partitions 5 s more.
    assert plan.driver_hours == pytest.approx((6 + plan.partitions * 5 / 250) / 3600)
    assert plan.hashing_core_hours == pytest.approx(0.4 * 2 / 3600 * 2000)
    assert plan.hours == pytest.approx(plan.core_hours / 100 + plan.driver_hours)


def test_shuffles_are_counted_where_they_are() -> None:
    plan = planned(RESULT, Asked(tokens=500_000))
    moved = {step.name: step.shuffle_bytes for step in plan.steps}
    assert moved["01-extract-pages"] == 8_000_000
    assert moved["03-decide"] == 0
    assert moved["08-mix"] == 500_000 * 4 + 250 * 20
    deduplicated = copy.deepcopy(RESULT)
    deduplicated["runs"][0]["steps"]["04-dedup"] = 5.0
    step = next(one for one in planned(deduplicated, Asked(tokens=500_000)).steps if one.name == "04-dedup")
    buckets = 300 * (1 + BANDS) * 29
    assert step.shuffle_bytes > buckets + 50 * 20_000 + 5_000  # the texts of candidate pairs, each member's twice
    assert step.shuffle_bytes < buckets + 50 * 20_400 + 5_000


def test_the_largest_run_counts_and_the_longest_time_alone() -> None:
    small = copy.deepcopy(RUN)
    small["sizes"] |= {"pages": 100, "warc_bytes": 1_000_000}
    small["seconds"], small["listing"] = 112.4, 0.1  # 8.7 s alone
    plan = planned({**RESULT, "runs": [RUN, small]}, Asked(tokens=500_000))
    assert plan.pages == 1000
    assert plan.partitions == 1
    assert plan.driver_hours == pytest.approx((8.7 + 5 / 250) / 3600)
    assert plan.hashing_core_hours == pytest.approx(0.3 / 9 * 10 * 2 / 3600, rel=1e-3)


def test_a_run_without_tokens_cannot_be_scaled() -> None:
    nothing = copy.deepcopy(RESULT)
    nothing["runs"][0]["sizes"]["tokens"] = 0
    with pytest.raises(ValueError, match="left no tokens"):
        planned(nothing, Asked())


def test_more_partitions_than_a_recipe_takes_are_told() -> None:
    plan = planned(RESULT, Asked(tokens=1e14))
    assert plan.partitions > MOST_PARTITIONS
    assert f"a recipe may ask for {MOST_PARTITIONS:,}" in told(plan)
    assert "a recipe may ask for" not in told(planned(RESULT, Asked(tokens=1e12)))


def test_a_line_is_found_with_its_fixed_cost() -> None:
    found = line([100, 300, 1000], [3 + 0.1 * n for n in (100, 300, 1000)])
    assert found.fixed == pytest.approx(3)
    assert found.slope == pytest.approx(0.1)
    assert found.residual < 1e-9
    assert line([1, 10], [5, 500]).exponent == pytest.approx(2)
    assert line([100, 300, 1000], [10, 30, 200]).residual > 0.1
    with pytest.raises(ValueError, match="two points"):
        line([100], [1])


def test_amounts_have_units() -> None:
    assert [amount(count) for count in (0, 1023, 1 << 20, 3 * 2**40)] == ["0 B", "1.02e+03 B", "1 MiB", "3 TiB"]


def test_only_what_is_between_marks_is_rewritten() -> None:
    page = "before\n<!-- growth -->\nold\n<!-- end growth -->\nafter\n"
    assert rewritten(page, {"growth": "new \\1"}) == "before\n<!-- growth -->\nnew \\1\n<!-- end growth -->\nafter\n"
    assert rewritten("<!-- growth -->\n<!-- end growth -->", {"growth": growth(RESULT)}).count("| pages |") == 0
    with pytest.raises(ValueError, match="no marks"):
        rewritten(page, {"plan": "new"})

"""Sums that do not close stop the run, and say by how much."""

from __future__ import annotations

import pytest

from pipelines import ledger
from pipelines.ledger import Account, AccountingError


def entry(verdict: str, reason: str = "") -> dict[str, str]:
    return {"id": "0" * 32, "uri": "u", "source": "s", "step": "t", "verdict": verdict, "reason": reason}


def test_sums_close() -> None:
    table = ledger.rows([entry("kept"), entry("dropped", "a"), entry("dropped", "a"), entry("failed", "b")])
    account = Account.of(4, table)
    account.check("step t")
    assert account.as_dict() == {"in": 4, "kept": 1, "dropped": {"a": 2}, "failed": {"b": 1}}
    assert Account.from_manifest(account.as_dict()) == account


@pytest.mark.parametrize(("received", "word"), [(5, "1 were lost"), (2, "2 appeared")])
def test_a_lost_or_invented_record_is_named(received: int, word: str) -> None:
    table = ledger.rows([entry("kept"), entry("dropped", "a"), entry("dropped", "a"), entry("failed", "b")])
    with pytest.raises(AccountingError, match=word):
        Account.of(received, table).check("step t")


def test_an_unknown_verdict_is_refused() -> None:
    with pytest.raises(AccountingError, match="'maybe'"):
        Account.of(1, ledger.rows([entry("maybe")]))

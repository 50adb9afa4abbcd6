from __future__ import annotations

import asyncio

import pytest

from pipelines.crawl.connect import CheckedBackend, NameNotResolvedError, PrivateAddressError, is_public


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
     "::1", "fe80::1%eth0", "fd00::1", "::ffff:127.0.0.1", "2002:7f00:1::", "64:ff9b::a9fe:a9fe", "255.255.255.255"],
)  # fmt: skip
def test_inside_addresses(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["93.184.215.14", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_outside_addresses(address: str) -> None:
    assert is_public(address)


def test_name_that_leads_inside_is_refused_before_connecting() -> None:
    backend = CheckedBackend(allow_private=False, connect_to={})
    with pytest.raises(PrivateAddressError, match=r"localhost leads to .*allow_private: true"):
        asyncio.run(backend.connect_tcp("localhost", 1))


def test_name_without_address() -> None:
    backend = CheckedBackend(allow_private=False, connect_to={})
    with pytest.raises(NameNotResolvedError):
        asyncio.run(backend.connect_tcp("nowhere.invalid", 80))

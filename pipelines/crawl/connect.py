"""Where a connection may go: names resolved once, every address checked before it is used.

The check stands between name resolution and the socket, and the connection goes to the very address that was checked:
a name that answers differently the second time (DNS rebinding) gains nothing, and each redirect passes here again.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterable, Mapping
from typing import Any

import httpcore

SocketOption = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]


class PrivateAddressError(Exception):
    """A host name led to an address inside a private network; nothing was sent there."""


class NameNotResolvedError(Exception):
    """A host name has no address."""


def is_public(address: str) -> bool:
    """Whether an IP address is globally reachable (IANA special-purpose registries, RFC 6890).

    IPv4 addresses inside IPv6 (mapped, 6to4, Teredo, NAT64) are judged by the IPv4 address they carry.
    """
    ip = ipaddress.ip_address(address.split("%", 1)[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and ip in ipaddress.ip_network("64:ff9b::/96"):
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast


class CheckedBackend(httpcore.AsyncNetworkBackend):
    """A network backend for httpcore that resolves, checks, and connects to the checked address.

    Args:
        allow_private: let private, loopback and link-local addresses pass.
        connect_to: host name -> "IP:PORT" to connect to instead; named by the user, so not checked.
    """

    def __init__(self, allow_private: bool, connect_to: Mapping[str, str]) -> None:
        self._allow_private = allow_private
        self._connect_to = {
            host: (target.rpartition(":")[0].strip("[]"), int(target.rpartition(":")[2]))
            for host, target in connect_to.items()
        }
        self._backend: Any = httpcore.AnyIOBackend()  # httpcore makes this name a union with a stand-in class

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address of the host that answers.

        Raises:
            PrivateAddressError, NameNotResolvedError: see there.
            httpcore.ConnectError, httpcore.ConnectTimeout: no address answered.
        """
        target = self._connect_to.get(host)
        addresses = [target] if target else [(address, port) for address in await self._resolve(host, port)]
        failure: Exception | None = None
        for address, port_there in addresses:
            try:
                return await self._backend.connect_tcp(address, port_there, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure or httpcore.ConnectError(f"{host}: no address to connect to")

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[SocketOption] | None = None
    ) -> httpcore.AsyncNetworkStream:
        """Refused: a crawler has no business with local sockets."""
        raise PrivateAddressError(f"{path} is a local socket, which a crawl never opens")

    async def sleep(self, seconds: float) -> None:
        """Wait, as httpcore asks for between its own tries."""
        await asyncio.sleep(seconds)

    async def _resolve(self, host: str, port: int) -> list[str]:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise NameNotResolvedError(f"{host}: {error}") from error
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        if not self._allow_private:
            for address in addresses:
                if not is_public(address):
                    raise PrivateAddressError(
                        f"{host} leads to {address}, which is not a public address; "
                        "set allow_private: true if this site is yours"
                    )
        return addresses

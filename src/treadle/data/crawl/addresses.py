"""Connections to public addresses only: a name is resolved once, checked, and connected to at what was checked.

So neither a redirect nor a name that resolves differently the second time (DNS rebinding) leads into a private network.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import httpcore

from treadle.base.errors import DataError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable

_CARRIER_GRADE = ipaddress.ip_network("100.64.0.0/10")
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")


class PrivateAddressError(DataError):
    """A host whose address is not public."""


class UnknownNameError(DataError):
    """A host whose name stands for no address."""


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public internet; one inside another (mapped, 6to4, NAT64) is looked at."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address):
        inner = parsed.ipv4_mapped or parsed.sixtofour
        if inner is None and parsed in _TRANSLATED:
            inner = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    elif parsed in _CARRIER_GRADE:
        return False
    return parsed.is_global and not parsed.is_multicast and not parsed.is_reserved


class Deadline(threading.local):
    """Until when what this thread is fetching must be there."""

    at: float = float("inf")

    def left(self, most: float | None) -> float:
        """Seconds left, at most `most`; raises `httpcore.ReadTimeout` if there are none."""
        left = self.at - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("The answer took too long.")
        return left if most is None else min(left, most)


class CheckedBackend(httpcore.NetworkBackend):
    """Connects as `httpcore` does, to addresses that were checked, and never beyond the deadline."""

    def __init__(self, deadline: Deadline, *, allow_private: bool) -> None:
        """`allow_private` checks nothing: loopback and the home network are let through."""
        self._inner = httpcore.SyncBackend()
        self._deadline = deadline
        self._allow_private = allow_private

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Resolve, check, connect to the first address that answers."""
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except UnicodeError as error:
            raise UnknownNameError(f"{host} is no name of a host.") from error
        except OSError as error:
            if isinstance(error, socket.gaierror) and error.errno != socket.EAI_AGAIN:
                raise UnknownNameError(f"The name {host} is not known.") from error
            raise httpcore.ConnectError(f"The name {host} cannot be resolved now: {error}") from error
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        private = [address for address in addresses if not is_public(address)]
        if private and not self._allow_private:
            raise PrivateAddressError(f"{host} is at {private[0]}, which is no public address.")
        failure: Exception = httpcore.ConnectError(f"The name {host} has no address.")
        for address in addresses:
            try:
                stream = self._inner.connect_tcp(
                    address, port, self._deadline.left(timeout), local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return _Stream(stream, self._deadline)
        raise failure


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._inner, self._deadline = inner, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._deadline.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._deadline.left(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        secured = self._inner.start_tls(ssl_context, server_hostname, self._deadline.left(timeout))
        return _Stream(secured, self._deadline)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - as httpcore declares it
        return self._inner.get_extra_info(info)

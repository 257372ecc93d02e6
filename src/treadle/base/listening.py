"""Addresses that servers of ours listen on: whom they can be reached by, the socket, and how it is said."""

from __future__ import annotations

import ipaddress
import resource
import socket

from treadle.base.errors import ResourceError, UsageError


def is_loopback(host: str) -> bool:
    """Whether an address or name is this machine's own, which no other machine can reach."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listening_socket(host: str, port: int, option: str, waiting: int = 128) -> socket.socket:
    """A socket that listens already: whoever reads its address may connect at once.

    `waiting` connections may stand before it; port 0 is any free one. Raises `UsageError` for what is no address of
    this machine, and `ResourceError` for a port that is taken, naming the command's `option` that chooses another.
    """
    if not 0 <= port <= 65_535:
        raise UsageError(f"{option} is {port}; it must lie between 0, which is any free port, and 65535.")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # every client is an open file
    try:
        family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{host} is no address of this machine ({reason}).") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(place)
        listener.listen(waiting)
    except OSError as error:
        listener.close()
        raise ResourceError(
            f"Port {port} of {host} cannot be used: {error.strerror}. Choose another with {option}, or 0 for any."
        ) from error
    return listener


def shown_address(host: str, listener: socket.socket) -> str:
    """The address to open in a browser or a program, such as `http://127.0.0.1:8080`."""
    name = "127.0.0.1" if host in {"0.0.0.0", "localhost"} else f"[{host}]" if ":" in host else host  # noqa: S104
    return f"http://{name}:{listener.getsockname()[1]}"

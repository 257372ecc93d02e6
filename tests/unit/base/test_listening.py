"""Where servers listen."""

import socket

import pytest

from treadle.base.errors import ResourceError, UsageError
from treadle.base.listening import is_loopback, listening_socket, shown_address


def test_whoever_reads_the_address_may_connect_at_once():
    with listening_socket("localhost", 0, "--port") as listener:
        address = shown_address("localhost", listener)
        assert address == f"http://127.0.0.1:{listener.getsockname()[1]}"
        socket.create_connection(listener.getsockname()[:2]).close()
        with pytest.raises(ResourceError, match=r"cannot be used: .* Choose another with --http, or 0 for any"):
            listening_socket("127.0.0.1", listener.getsockname()[1], "--http")


@pytest.mark.parametrize(
    ("host", "port", "told"),
    [
        ("127.0.0.1", 70_000, "--port is 70000; it must lie between 0, which is any free port, and 65535"),
        ("no such host", 0, "no such host is no address of this machine"),
        ("a" * 70, 0, "is no address of this machine"),
    ],
)
def test_what_cannot_be_listened_on_is_a_wrong_request(host, port, told):
    with pytest.raises(UsageError, match=told):
        listening_socket(host, port, "--port")


def test_loopback_is_told_from_what_others_reach():
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.8.8.8", "::1")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.1.4", "localhost.example.org", "")))  # noqa: S104

import socket
import time

import httpcore
import pytest

from treadle.data.crawl.addresses import CheckedBackend, Deadline, PrivateAddressError, UnknownNameError, is_public

PRIVATE = [
    "127.0.0.1",
    "127.8.8.8",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",
    "0.0.0.0",  # noqa: S104 - only looked at
    "100.64.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "240.0.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "::1",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd12::1",
    "ff02::1",
    "2001:db8::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "2002:7f00:1::",
    "64:ff9b::7f00:1",
    "nonsense",
]


@pytest.mark.parametrize(
    "address",
    PRIVATE,
)
def test_addresses_that_are_not_public_are_told(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.215.14", "2606:4700:4700::1111", "::ffff:8.8.8.8"])
def test_addresses_of_the_internet_are_public(address):
    assert is_public(address)


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "127.1"])
def test_no_spelling_of_this_machine_is_connected_to(name):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        backend = CheckedBackend(Deadline(), allow_private=False)
        with pytest.raises((PrivateAddressError, UnknownNameError)):
            backend.connect_tcp(name, server.getsockname()[1], 1.0)
        with pytest.raises(TimeoutError):
            server.accept()


def test_with_permission_this_machine_is_connected_to():
    with socket.create_server(("127.0.0.1", 0)) as server:
        stream = CheckedBackend(Deadline(), allow_private=True).connect_tcp("localhost", server.getsockname()[1], 5.0)
        assert stream.get_extra_info("server_addr")[0] == "127.0.0.1"
        stream.close()


def test_a_name_that_stands_for_nothing_is_told():
    with pytest.raises(UnknownNameError, match=r"no name|not known"):
        CheckedBackend(Deadline(), allow_private=True).connect_tcp("a" * 64 + ".invalid", 80, 1.0)


def test_nothing_goes_on_beyond_the_deadline():
    deadline = Deadline()
    deadline.at = time.monotonic() - 1
    with pytest.raises(httpcore.ReadTimeout):
        deadline.left(10.0)
    deadline.at = time.monotonic() + 100
    assert deadline.left(5.0) == 5.0
    assert 90 < deadline.left(None) <= 100

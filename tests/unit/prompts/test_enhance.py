"""Asking a server for a better text."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from treadle.base.errors import NotReadyError, ResourceError, SettingsError
from treadle.prompts.enhance import KEY_VARIABLE, enhanced


@pytest.fixture
def server():
    """A server that answers as told and keeps what it was asked."""

    class Handler(BaseHTTPRequestHandler):
        answer = (200, json.dumps({"choices": [{"message": {"content": " A wet\n street. "}}]}))
        models = (200, json.dumps({"data": [{"id": "writer"}]}))
        seen = []  # noqa: RUF012 - one for each server

        def do_GET(self):
            self.send(*self.models)

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.seen.append((self.path, self.headers.get("Authorization"), json.loads(body)))
            self.send(*self.answer)

        def send(self, status, text):
            self.send_response(status)
            if status == 302:
                self.send_header("Location", text)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_):
            pass

    made = type("Made", (Handler,), {"seen": []})
    running = HTTPServer(("127.0.0.1", 0), made)
    thread = threading.Thread(target=running.serve_forever, args=(0.02,))
    thread.start()
    made.address = f"http://127.0.0.1:{running.server_port}/v1"
    yield made
    running.shutdown()
    thread.join()
    running.server_close()


def test_the_better_text_comes_on_one_line_with_its_writer(server, monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, "secret")
    assert enhanced("street", f"{server.address}/", None, 10) == ("A wet street.", "writer")
    path, key, body = server.seen[0]
    assert (path, key) == ("/v1/chat/completions", "Bearer secret")
    assert body["model"] == "writer"
    assert body["messages"][1] == {"role": "user", "content": "street"}


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        ((401, "no"), NotReadyError, KEY_VARIABLE),
        ((500, "oh"), NotReadyError, "answered 500: oh"),
        (
            (400, '{"error": {"message": "It lacks 4 characters."}}'),
            NotReadyError,
            "lacks 4 .*s. Another model",
        ),
        ((302, "http://192.0.2.1/"), NotReadyError, "answered 302"),
        ((200, "no json"), ResourceError, "did not answer with JSON"),
        ((200, "{}"), ResourceError, "without a text"),
        ((200, json.dumps({"choices": [{"message": {"content": None}}]})), ResourceError, "empty text"),
        ((200, " " * (1 << 20) + "{}"), ResourceError, "more than 1 MB"),
    ],
)
def test_a_server_that_is_of_no_use_is_named_with_the_reason(server, answer, error, says):
    server.answer = answer
    with pytest.raises(error, match=says):
        enhanced("street", server.address, "writer", 10)


def test_a_server_without_models_is_told_to_be_named_one(server):
    server.models = (200, '{"data": []}')
    with pytest.raises(ResourceError, match="--model"):
        enhanced("street", server.address, None, 10)


def test_no_server_there():
    with pytest.raises(NotReadyError, match="treadle serve"):
        enhanced("street", "http://127.0.0.1:9/v1", "writer", 2)
    with pytest.raises(NotReadyError, match="Is the address right"):
        enhanced("street", "http://nowhere.invalid/v1", "writer", 2)


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://x/v1", "http:///v1", "writer"])
def test_only_addresses_of_servers_are_asked(address):
    with pytest.raises(SettingsError, match="no address of a server"):
        enhanced("street", address, None, 1)


def test_a_key_in_the_address_is_refused():
    with pytest.raises(SettingsError, match=KEY_VARIABLE):
        enhanced("street", "http://me:key@127.0.0.1/v1", None, 1)

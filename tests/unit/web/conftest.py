"""The web door in this process: an application over an empty workspace, and clients that ask it without sockets."""

import re
import shutil

import pytest
from starlette.testclient import TestClient

from treadle.store.accounts import AccountsFile
from treadle.store.workspace import create_workspace
from treadle.web.app import create_app
from treadle.web.security import Place

PORT = 8765
HERE = f"http://127.0.0.1:{PORT}"
SMALL = [
    "family.layers=1",
    "family.width=32",
    "family.heads=1",
    "data.sequence_length=32",
    "training.batch_size=2",
]


@pytest.fixture
def workspace(quick_folder):
    return create_workspace(quick_folder / "lab")


@pytest.fixture
def app(workspace):
    return create_app(workspace, Place(port=PORT))


@pytest.fixture
def client(app):
    """A program on this machine: no cookies, no origin."""
    with TestClient(app, base_url=HERE, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def call(client):
    """Call an operation over HTTP; returns the answer, which must not be an error."""

    def call(operation, **given):
        answer = client.post(f"/api/v1/operations/{operation}", json=given)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return call


@pytest.fixture
def browser(app):
    """A page's requests: they name their origin and carry the page's token."""
    with TestClient(app, base_url=HERE, raise_server_exceptions=False) as client:
        csrf = re.search(r'name="treadle-csrf" content="([^"]*)"', client.get("/").text)
        client.headers |= {"origin": HERE, "sec-fetch-site": "same-origin"}
        client.headers |= {"x-treadle-csrf": csrf[1] if csrf else ""}
        yield client


@pytest.fixture(scope="session")
def stored_accounts(tmp_path_factory):
    """An admin, an operator and a viewer, hashed once."""
    file = AccountsFile(create_workspace(tmp_path_factory.mktemp("accounts")))
    file.add_user("ada", "admin", "correct horse")
    file.add_user("olga", "operator", "correct horse")
    file.add_user("vic", "viewer", "correct horse")
    return file.path.parent


@pytest.fixture
def accounts(workspace, stored_accounts):
    """A workspace with these three users."""
    shutil.copytree(stored_accounts, workspace.root / "accounts")
    return AccountsFile(workspace)


@pytest.fixture
def logged_in(app, accounts):
    """Log somebody in; returns their browser, which sends the token of its session."""
    opened = []

    def log_in(name):
        client = TestClient(app, base_url=HERE, raise_server_exceptions=False)
        opened.append(client)
        client.__enter__()
        client.headers["origin"] = HERE
        answer = client.post("/api/v1/session", json={"name": name, "password": "correct horse"})
        assert answer.status_code == 200, answer.text
        client.headers["x-treadle-csrf"] = client.get("/api/v1/session").json()["csrf"]
        return client

    yield log_in
    for client in opened:
        client.__exit__(None, None, None)

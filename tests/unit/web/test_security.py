"""Whom the server answers, and what it lets them do."""

import pytest
from starlette.testclient import TestClient

from treadle.operations.operation import operations
from treadle.store.accounts import AccountsFile
from treadle.web.answers import RefusedError
from treadle.web.app import create_app
from treadle.web.security import Place
from treadle.web.sessions import FREE_ATTEMPTS, Brake

HERE = "http://127.0.0.1:8765"


def kind(answer):
    return answer.status_code, answer.json()["kind"]


def test_without_accounts_a_program_on_this_machine_may_do_all(client, call):
    assert client.get("/api/v1/session").json()["level"] == "admin"
    call("new", name="bard")
    assert call("delete", model="bard")["name"] == "bard"


def test_a_page_needs_its_token_for_each_change(browser):
    assert browser.post("/api/v1/operations/new", json={"name": "bard"}).status_code == 200
    browser.headers["x-treadle-csrf"] = "0" * 64
    assert kind(browser.post("/api/v1/operations/new", json={"name": "ben"})) == (403, "Csrf")
    del browser.headers["x-treadle-csrf"]
    assert kind(browser.post("/api/v1/operations/new", json={"name": "ben"})) == (403, "Csrf")
    assert kind(browser.delete("/api/v1/session")) == (403, "Csrf")


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "http://127.0.0.1:8765.evil.example"},
        {"sec-fetch-site": "cross-site"},
    ],
)
def test_pages_of_other_sites_may_neither_change_nor_read(client, headers):
    assert kind(client.post("/api/v1/operations/list", json={}, headers=headers)) == (403, "Origin")
    assert kind(client.get("/api/v1/operations", headers=headers)) == (403, "Origin")


def test_a_link_from_elsewhere_opens_a_page(client):
    assert client.get("/", headers={"sec-fetch-site": "cross-site"}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example:8765", "127.0.0.1:1", "127.0.0.1", "192.168.1.9:8765", "", "a b", "[::1"]
)
def test_a_name_that_is_not_the_servers_is_refused(client, host):
    assert kind(client.get("/api/v1/operations", headers={"host": host})) == (421, "Host")


@pytest.mark.parametrize("host", ["localhost:8765", "127.0.0.1:8765", "[::1]:8765", "LOCALHOST:8765"])
def test_the_machines_own_names_are_answered(client, host):
    assert client.get("/api/v1/session", headers={"host": host}).status_code == 200


def test_a_server_for_others_answers_to_addresses_and_given_names_only():
    place = Place("192.168.1.9", 80, ("workshop.lan",))
    assert all(map(place.answers_to, ["192.168.1.9", "workshop.lan", "WORKSHOP.lan:80", "[fe80::1]:80"]))
    assert not any(map(place.answers_to, ["evil.example", "workshop.lan:81", "workshop.lan.evil.example"]))
    behind = Place("127.0.0.1", 8080, ("workshop.lan",))
    assert behind.answers_to("workshop.lan"), "a proxy with a certificate has a port of its own"
    assert not any(map(behind.answers_to, ["localhost", "127.0.0.1", "workshop.lan:81", "evil.example"]))


def test_every_answer_forbids_foreign_code_and_frames(client):
    for path in ("/", "/static/treadle.js", "/api/v1/session", "/nowhere"):
        headers = client.get(path).headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_with_users_everybody_logs_in_first(client, accounts):
    answer = client.get("/", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?then=/")
    there = client.get("/runs?of=bard&at=5", follow_redirects=False).headers["location"]
    assert there == "/login?then=/runs%3Fof%3Dbard%26at%3D5", "the log-in leads back to the same page"
    assert "Log in" in client.get("/login").text
    assert kind(client.get("/api/v1/operations")) == (401, "Unauthorized")
    assert kind(client.get("/api/v1/events")) == (401, "Unauthorized")
    assert kind(client.post("/api/v1/operations/list", json={})) == (401, "Unauthorized")
    assert kind(client.get("/api/v1/session")) == (401, "Unauthorized")


def test_a_session_is_a_cookie_that_scripts_and_other_sites_do_not_get(logged_in):
    cookie = logged_in("ada").post("/api/v1/session", json={"name": "ada", "password": "correct horse"})
    said = cookie.headers["set-cookie"].lower()
    assert "httponly" in said
    assert "samesite=strict" in said


def test_a_wrong_password_and_an_unknown_name_look_alike(client, accounts):
    wrong = client.post("/api/v1/session", json={"name": "ada", "password": "incorrect horse"})
    unknown = client.post("/api/v1/session", json={"name": "eve", "password": "incorrect horse"})
    assert kind(wrong) == (401, "LogIn")
    assert (wrong.status_code, wrong.json()) == (unknown.status_code, unknown.json())


def test_guessing_is_slowed_down(client, accounts, app):
    brake = app.state.sessions._brake
    guess = {"name": "ada", "password": "guess"}
    for _ in range(FREE_ATTEMPTS + 8):  # two of them slowly, with their hashes
        client.post("/api/v1/session", json=guess) if _ < 2 else brake.wrong("user ada")
    assert kind(client.post("/api/v1/session", json=guess)) == (429, "TooMany")
    right = {"name": "ada", "password": "correct horse"}
    assert kind(client.post("/api/v1/session", json=right)) == (429, "TooMany"), "not even the right one gets through"


def test_each_wrong_password_doubles_the_wait():
    brake = Brake()
    for _ in range(FREE_ATTEMPTS + 6):
        brake.wrong("ada")
    with pytest.raises(RefusedError, match=r"in 6[0-4] s"):
        brake.check("ada")
    for number in range(10_100):
        brake.wrong(f"guess {number}")
    with pytest.raises(RefusedError, match=r"in 6[0-4] s"):
        brake.check("ada")
    assert len(brake._wrong) <= 10_001
    brake.right("ada")
    brake.check("ada")


def test_levels_hold_for_every_operation(logged_in):
    """Whatever the table holds: a level that does not reach is refused before anything is looked at."""
    from treadle.web.door import level_for, offered

    order = ["viewer", "operator", "admin"]
    for name, level in (("vic", "viewer"), ("olga", "operator")):
        client = logged_in(name)
        for entry in offered().values():
            answer = client.post(f"/api/v1/operations/{entry.name}", json={"no-such-parameter": 1})
            allowed = order.index(level) >= order.index(level_for(entry, {}))
            assert (answer.status_code == 403) == (not allowed), (name, entry.name, answer.text)


def test_the_accounts_are_for_admins_only(logged_in):
    assert logged_in("olga").post("/api/v1/operations/user.list", json={}).status_code == 403
    admin = logged_in("ada")
    told = admin.post("/api/v1/operations/user.list", json={}).json()
    assert [user["name"] for user in told["users"]] == ["ada", "olga", "vic"]
    assert "password" not in told["users"][0]


def test_a_change_of_level_or_password_ends_the_sessions(logged_in, accounts):
    client = logged_in("olga")
    assert client.get("/api/v1/session").status_code == 200
    accounts.change_user("olga", level="viewer")
    assert client.get("/api/v1/session").status_code == 401
    again = logged_in("olga")
    accounts.remove_user("olga")
    assert again.get("/api/v1/session").status_code == 401


def test_sessions_survive_a_restart_and_end_with_the_log_out(app, workspace, logged_in):
    client = logged_in("ada")
    again = create_app(workspace, Place(port=8765))
    with TestClient(again, base_url=HERE, cookies=client.cookies) as restarted:
        assert restarted.get("/api/v1/session").json()["name"] == "ada"
        restarted.cookies.clear()
        restarted.post("/api/v1/session", json={"name": "olga", "password": "correct horse"})
        assert client.get("/api/v1/session").json()["name"] == "ada", "two servers may stand over one workspace"
        assert client.delete("/api/v1/session").status_code == 200
        assert client.get("/api/v1/session").status_code == 401
        assert restarted.get("/api/v1/session").json()["name"] == "olga"
        app.state.sessions.log_out(restarted.cookies["treadle_session"])
        assert restarted.get("/api/v1/session").status_code == 401
    folder = workspace.root / "accounts"
    assert all(
        path.stat().st_mode & 0o077 == 0 for path in [folder, folder / "accounts.json", folder / "sessions.json"]
    )


def test_a_session_without_its_token_changes_nothing(logged_in):
    client = logged_in("ada")
    del client.headers["x-treadle-csrf"]
    del client.headers["origin"]
    for headers in ({}, {"authorization": "Basic eDp5"}):
        answer = client.post("/api/v1/operations/new", json={"name": "bard"}, headers=headers)
        assert kind(answer) == (403, "Csrf")


def test_a_key_opens_the_api_at_its_level(client, accounts):
    _, token = accounts.add_key("dashboard", "viewer")
    bearer = {"authorization": f"Bearer {token}"}
    assert client.post("/api/v1/operations/list", json={}, headers=bearer).status_code == 200
    assert kind(client.post("/api/v1/operations/new", json={"name": "x"}, headers=bearer)) == (403, "Forbidden")
    assert kind(client.get("/api/v1/operations", headers={"authorization": "Bearer tdl_wrong"})) == (
        401,
        "Unauthorized",
    )
    accounts.remove_key("dashboard")
    assert kind(client.post("/api/v1/operations/list", json={}, headers=bearer)) == (401, "Unauthorized")


def test_tokens_and_passwords_stand_nowhere_in_the_file(accounts):
    _, token = accounts.add_key("notebook", "operator")
    stored = accounts.path.read_text()
    assert token not in stored
    assert "correct horse" not in stored
    assert "$argon2id$" in stored


def test_operators_name_files_of_the_workspace_and_viewers_none(logged_in, workspace):
    logged_in("ada").post("/api/v1/operations/new", json={"name": "bard"})
    operator = logged_in("olga")
    for path in ("/etc/passwd", "../../etc/passwd", "~/notes", "accounts", "accounts/accounts.json", ".", "x/.."):
        answer = operator.post("/api/v1/operations/feed", json={"model": "bard", "paths": [path]})
        assert kind(answer) == (403, "Forbidden"), path
    answer = logged_in("vic").post("/api/v1/operations/show", json={"model": "bard", "plot": "curve.png"})
    assert kind(answer) == (403, "Forbidden")


def test_a_server_that_lost_its_users_lets_nobody_in_from_outside(workspace):
    app = create_app(workspace, Place("192.168.1.9", 80))
    with TestClient(app, base_url="http://192.168.1.9") as client:
        assert client.get("/api/v1/operations").status_code == 401


def test_every_effect_has_a_level():
    from treadle.web.door import level_for

    levels = {entry.effect: level_for(entry) for entry in operations().values() if entry.noun not in {"user", "key"}}
    assert levels == {"reads": "viewer", "changes": "operator", "removes": "admin"}


def test_log_in_takes_two_texts_and_nothing_else(client, accounts: AccountsFile):
    for body in ({}, {"name": "ada"}, {"name": 1, "password": "x"}, {"name": "a", "password": "b" * 2000}):
        assert kind(client.post("/api/v1/session", json=body)) == (422, "Usage")


def test_the_page_to_log_in_leads_to_pages_of_ours_only(logged_in):
    client = logged_in("vic")
    for then, target in (
        ("/queue", "/queue"),
        ("//evil.example", "/"),
        ("https://evil.example", "/"),
        ("/\\evil", "/"),
        ("/\t/evil.example", "/"),
    ):
        answer = client.get("/login", params={"then": then}, follow_redirects=False)
        assert answer.headers["location"] == target


def test_files_that_are_named_within_texts_are_held_to_the_level_too(logged_in, workspace):
    (workspace.root / "street.mp4").write_bytes(b"frames")
    olga, vic = logged_in("olga"), logged_in("vic")

    def made(client, place):
        given = {"name": "dusk", "prompt": "A street", "input": [f"video={place}"]}
        return client.post("/api/v1/operations/prompt.new", json=given)

    refused = made(olga, "/etc/hostname")
    assert (refused.status_code, "may not use /etc/hostname" in refused.text) == (403, True)
    assert made(olga, "accounts/accounts.json").status_code == 403
    told = made(olga, "./street.mp4").json()
    assert told["inputs"][0]["path"] == str(workspace.root / "street.mp4")
    given = {"prompts": ["dusk"], "host": "local", "weights": ["edge=0.5", "vis=/etc/mask.png"]}
    run = olga.post("/api/v1/operations/transfer.run", json=given)
    assert (run.status_code, "may not use /etc/mask.png" in run.text) == (403, True)
    (workspace.root / "request.json").write_text('{"text": "A street", "video": "/etc/hostname"}')
    for name in ("request.json", "./request.json", "upload:abc"):
        explained = olga.post("/api/v1/operations/transfer.explain", json={"source": name})
        assert (explained.status_code, "from admins only" in explained.text) == (403, True), name
    recalled = olga.post("/api/v1/operations/gallery.recall", json={"file": "/etc/hostname"})
    assert (recalled.status_code, "may not use" in recalled.text) == (403, True)
    answered = vic.post("/api/v1/operations/gallery.recall", json={"file": "g-0123456789"})
    assert answered.status_code == 404, "a viewer may read how a result was made"
    assert vic.post("/api/v1/operations/gallery.recall", json={"file": "g-01", "save": "x"}).status_code == 403

"""What the pages hold back in a real browser: scripts in data, other sites, people without the level."""

import contextlib
import http.server
import json
import re
import threading
from pathlib import Path

import pytest

AXE = Path(__file__).parent / "vendor" / "axe-core" / "axe.min.js"
PROBE = '<img src=x onerror="window.xss=1"><script>window.xss=1</script>'
QUOTED = "\"'><svg onload=window.xss=1>{{7*7}}"
PASSWORD = "correct horse"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory, serve_workspace):
    """A server with an admin and a viewer; gives its address."""
    import treadle

    workspace = treadle.Workspace.create(tmp_path_factory.mktemp("guarded") / "lab")
    workspace.user_add("ada", level="admin", password=PASSWORD)
    workspace.user_add("vic", level="viewer", password=PASSWORD)
    workspace.new("bard", size="nano", tokenizer="char")
    with serve_workspace(workspace.root) as address:
        yield address


def log_in(page, name):
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()


def test_people_log_in_and_may_do_what_their_level_says(open_page, guarded):
    from playwright.sync_api import expect

    page = open_page(guarded + "/queue", expected=["401", "403"])
    expect(page).to_have_url(re.compile("/login"))
    page.get_by_label("Name").fill("vic")
    page.get_by_label("Password").fill("wrong wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("do not belong together")
    log_in(page, "vic")
    expect(page).to_have_url(guarded + "/queue")
    expect(page.get_by_text("vic · viewer")).to_be_visible()
    refused = page.evaluate(
        """async () => { const { call } = await import('/static/treadle.js');
             try { await call('new', { name: 'x' }); return 'done'; } catch (error) { return error.message; } }"""
    )
    assert "`new` needs the level operator; vic is viewer" in refused
    bare = page.evaluate(
        """() => fetch('/api/v1/operations/list', { method: 'POST', body: '{}',
             headers: { 'content-type': 'application/json' } }).then((answer) => answer.json())"""
    )
    assert bare["kind"] == "Csrf", "a request of a page that lacks the page's token"
    assert page.evaluate("document.cookie") in {"", "treadle_model=bard"}, "the session is not for scripts"
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    page.goto(guarded + "/models")
    expect(page).to_have_url(re.compile("/login"))
    page.goto(guarded + "/login?then=/%09/127.0.0.1:9/")  # a browser leaves the tab out: another site
    log_in(page, "vic")
    expect(page).to_have_url(guarded + "/")


@contextlib.contextmanager
def foreign_site(target):
    """Another site on this machine, whose page tries to use the server through the browser."""
    body = f"""<!doctype html><title>elsewhere</title><iframe name="f"></iframe>
      <form id="f" target="f" method="post" enctype="text/plain" action="{target}/api/v1/operations/new">
      <input name='{{"name": "stolen", "x": "' value='"}}'></form><script>
      window.done = [];
      const note = (name) => [(a) => window.done.push(name + ' ' + a.type), () => window.done.push(name + ' failed')];
      document.getElementById('f').submit();
      const json = {{ 'content-type': 'application/json' }};
      const there = '{target}/api/v1/operations/new', asked = {{ method: 'POST', body: '{{"name": "stolen"}}' }};
      fetch(there, {{ ...asked, headers: json }}).then(...note('json'));
      fetch(there, {{ ...asked, mode: 'no-cors' }}).then(...note('text'));
      fetch('{target}/api/v1/session').then(...note('read'));
      </script>""".encode()

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        yield f"http://localhost:{site.server_port}/"
        site.shutdown()


def test_a_page_of_another_site_changes_nothing_and_reads_nothing(chromium, empty_server):
    context = chromium.new_context()
    with foreign_site(empty_server) as address:
        page = context.new_page()
        page.goto(address)
        page.wait_for_function("window.done.length === 3", timeout=30_000)
        done = page.evaluate("window.done.sort()")
        framed = page.evaluate(
            f"""() => new Promise((resolve) => {{ const frame = document.createElement('iframe');
                  frame.src = '{empty_server}/'; frame.onload = () => {{
                    const inside = frame.contentDocument;
                    resolve(String(inside === null || inside.body.innerHTML === '')); }};
                  document.body.append(frame); }})"""
        )
    assert done == ["json failed", "read failed", "text failed"]
    assert framed == "true"
    listed = context.request.post(
        f"{empty_server}/api/v1/operations/list", data="{}", headers={"content-type": "application/json"}
    )
    assert "stolen" not in listed.text()
    context.close()


def attempt(context, server, operation, **given):
    """Call an operation as a program does; what it refuses does not matter here."""
    context.request.post(
        f"{server}/api/v1/operations/{operation}",
        data=json.dumps(given),
        headers={"content-type": "application/json"},
    )


def test_scripts_in_names_texts_and_files_stay_text_on_every_page(open_page, server, lab, tmp_path):
    page = open_page(server, expected=["404", "409", "422"])
    context = page.context
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / f"{PROBE.replace('/', '_')}.txt").write_text(f"{PROBE} {QUOTED} " * 30)
    (folder / "broken<b>.pdf").write_bytes(b"%PDF-1.4 <script>window.xss=1</script>")
    for operation, given in {
        "flow.init": {},
        "flow.add": {"title": f"{PROBE} {QUOTED}"},
        "flow.note": {"text": f"{PROBE} [x](javascript:window.xss=1) {QUOTED}"},
        "flow.log": {"text": f"{PROBE} {QUOTED}"},
        "data.new": {"name": "letters"},
        "prompt.new": {"name": "probe", "text": f"{PROBE} {QUOTED}"},
        "new": {"name": "mallory", "size": "nano"},  # its own: `bard` could not be trained on with these characters
        "feed": {"model": "mallory", "paths": [str(folder)]},
        "sample": {"model": "bard", "prompt": PROBE, "unknown": "skip", "tokens": 5},
        "train": {"model": "mallory", "config": str(folder / "broken<b>.pdf")},
    }.items():
        attempt(context, server, operation, **given)
    addresses = page.locator("nav a").evaluate_all("links => links.map(link => link.getAttribute('href'))")
    hostile = [f"?model={QUOTED}", f"?q={PROBE}&dataset={QUOTED}&run={PROBE}&job=1"]
    for address in [*addresses, f"/{PROBE}", *(one + query for one in addresses for query in hostile)]:
        page.goto(server + address)
        page.wait_for_load_state("load")
        assert page.evaluate("window.xss") is None, address
        assert page.locator("img[src=x], svg[onload], main script:not([type='application/json'])").count() == 0, address
        assert "49" not in page.title()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_has_a_serious_barrier(open_page, server, scheme):
    page = open_page(server, color_scheme=scheme)
    addresses = page.locator("nav a").evaluate_all("links => links.map(link => link.getAttribute('href'))")
    found = {}
    for address in addresses:
        page.goto(server + address)
        page.wait_for_load_state("load")
        page.evaluate(AXE.read_text(encoding="utf-8"))
        told = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
        serious = [
            f"{one['id']}: {one['help']}: {one['nodes'][0]['html'][:200]}"
            for one in told["violations"]
            if one["impact"] in {"serious", "critical"}
        ]
        if serious:
            found[address] = serious
    assert found == {}

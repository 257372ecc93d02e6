"""A real browser on a real `treadle ui`: one server and one small trained model for the whole session."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
COMMAND = Path(sys.executable).parent / "treadle"
SMALL = [
    "family.layers=1",
    "family.width=32",
    "family.heads=2",
    "data.sequence_length=32",
    "training.batch_size=4",
    "training.evaluate_every=20",
    "training.sample_every=20",
]
TEXT = "To be, or not to be, that is the question: whether it is nobler in the mind to suffer the slings of fortune.\n"
WIDE = {"width": 1280, "height": 800}
NARROW = {"width": 390, "height": 844}


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents and "page" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(240))


@contextlib.contextmanager
def served(folder, *arguments):
    """A `treadle ui` of its own on a free port; gives its address."""
    command = [COMMAND, "ui", "--no-browser", "--workspace", folder, *arguments]
    environment = {**os.environ, "TREADLE_WORKER_IDLE_SECONDS": "5"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        try:
            line = process.stderr.readline()
            yield re.search(r"http://\S+", line)[0]
        finally:
            process.send_signal(signal.SIGTERM)
            rest = process.stderr.read()
            process.wait(60)
            assert "Traceback" not in rest, rest


@pytest.fixture(scope="session")
def serve_workspace():
    """What serves a workspace for as long as a context lasts: `with serve_workspace(folder) as address`."""
    return served


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """A workspace with the model `bard`, trained for sixty steps; changes of one test are seen by the others."""
    import treadle

    folder = tmp_path_factory.mktemp("browser") / "lab"
    workspace = treadle.Workspace.create(folder)
    workspace.new("bard", SMALL, size="nano", tokenizer="char")
    text = folder.parent / "hamlet.txt"
    text.write_text(TEXT * 60)
    workspace.feed("bard", [text])
    workspace.train("bard", steps=60)
    return folder


@pytest.fixture(scope="session")
def server(lab):
    """Address of a `treadle ui` on that workspace."""
    with served(lab) as address:
        yield address


@pytest.fixture(scope="session")
def empty_server(tmp_path_factory):
    """Address of a `treadle ui` on a workspace in which nothing was done yet."""
    import treadle

    folder = treadle.Workspace.create(tmp_path_factory.mktemp("first") / "workshop").root
    with served(folder) as address:
        yield address


@pytest.fixture(scope="module")
def chromium():
    """The browser, for one file of tests: playwright keeps an event loop running here, which other tests cannot use."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed (apt-get install chromium, or TREADLE_TEST_INSTALL=1 scripts/test)")
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    api.expect.set_options(timeout=30_000)  # on a machine that others use
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium):
    """Open a page in a profile of its own, whose faults fail the test; takes options of a browser context.

    Whatever the page writes to the console as an error, throws, or asks of another host is a fault.
    """
    contexts, faults = [], []

    def open_(address, expected=(), **options):
        context = chromium.new_context(**{"viewport": WIDE, **options})
        contexts.append(context)
        context.set_default_timeout(30_000)
        page = context.new_page()
        host = re.match(r"https?://[^/]+", address)[0]

        def said(message):
            text = f"{message.text} ({message.location.get('url', '')})"
            if message.type == "error" and not any(part in text for part in expected):
                faults.append(text)

        def asked(request):
            if not request.url.startswith((host, "data:", "blob:")):
                faults.append(f"asked another host: {request.url}")

        page.on("console", said)
        page.on("pageerror", lambda error: faults.append(f"uncaught: {error}"))
        context.on("request", asked)
        page.goto(address)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert faults == []


@pytest.fixture
def page(open_page, server):
    """The first page of the shared server."""
    return open_page(server)

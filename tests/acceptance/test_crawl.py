"""Crawling through the command: what a person types, sees, interrupts and asks again."""

import contextlib
import gzip
import json
import os
import signal
import time
from pathlib import Path

QUICK = ("--allow-private", "--rate", "200")


def waited(condition, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


def processes_in(folder):
    """Ids of all processes of a workspace: workers, jobs, readers."""
    mine = str(folder).encode()
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int(path.name) != os.getpid() and (
                mine in (path / "cmdline").read_bytes() or (path / "cwd").readlink().is_relative_to(folder)
            ):
                found.append(int(path.name))
    return found


def test_a_site_is_crawled_into_a_model_shown_tested_and_exported(shell, manual, tmp_path):
    manual.pages["/robots.txt"] = b"User-agent: *\nDisallow: /lts.html\n"
    shell.run("new", "bard", "--size", "nano")
    start = (f"{manual.url}/index.html", "--into", "bard", "--name", "manual", *QUICK)
    refused = shell.run("crawl", f"{manual.url}/index.html", "--into", "bard", code=1).stdout
    assert "Not one page was to be had." in refused
    assert "private address" in refused
    assert manual.log == []
    done = shell.run("crawl", *start)
    assert "30 pages" in done.stdout
    assert "treadle train bard" in done.stdout
    status = shell.json("crawl", "status", "manual")["crawls"][0]
    assert {key: status[key] for key in ("state", "pages", "pending", "refused_by_robots", "unchanged", "changed")} == {
        "state": "complete",
        "pages": 30,
        "pending": 0,
        "refused_by_robots": 1,
        "unchanged": 0,
        "changed": 0,
    }
    assert shell.json("show", "bard")["documents"]["accepted"] == 30

    again = shell.json("crawl", *start)
    assert (again["unchanged"], again["new"], again["accepted"]) == (30, 0, 0)

    test = shell.json("crawl", "rules", "test", f"{manual.url}/lts.html", "--crawl", "manual")["test"]
    assert (test["allowed"], test["rule"]) == (False, "Disallow: /lts.html (line 2 of robots.txt)")
    shell.run("crawl", "rules", "add", "/about")
    said = shell.run("crawl", "rules", "test", f"{manual.url}/about.html").stdout
    assert "is not asked for" in said
    assert "path:/about" in said
    assert "no rule `domain:x.org`" in shell.refused("crawl", "rules", "remove", "x.org").lower()
    shell.run("crawl", "rules", "remove", "/about")
    assert shell.json("crawl", "rules", "list")["rules"] == []

    pages = tmp_path / "pages.jsonl"
    assert shell.json("crawl", "export", "manual", pages)["pages"] == 30
    rows = {row["url"]: row["content"] for row in map(json.loads, pages.read_text().splitlines())}
    assert rows[f"{manual.url}/about.html"].encode() == manual.pages["/about.html"]
    shell.run("crawl", "export", "manual", tmp_path / "pages.warc.gz")
    with gzip.open(tmp_path / "pages.warc.gz") as file:
        assert file.read().count(b"WARC/1.1\r\nWARC-Type: resource\r\n") == 30
    assert ".jsonl" in shell.refused("crawl", "export", "manual", tmp_path / "pages.pdf")


def test_ctrl_c_leaves_the_crawl_running_and_after_kill_minus_nine_the_same_command_goes_on(shell, manual):
    shell.run("data", "new", "docs")
    manual.delay = 0.15
    command = ("crawl", f"{manual.url}/index.html", "--dataset", "docs", *QUICK)
    first = shell.start(*command)
    waited(lambda: len(manual.asked(200)) >= 2)
    first.send_signal(signal.SIGINT)
    said = first.communicate(timeout=60)[0]
    assert first.returncode == 130
    assert "goes on in the background" in said
    asked = len(manual.asked())
    waited(lambda: len(manual.asked()) > asked + 1)

    for process in processes_in(shell.folder):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    manual.delay = 0.0
    done = shell.json(*command)
    assert (done["pages"], done["pending"], done["complete"]) == (31, 0, True)
    lines = shell.json("data", "show", "docs")
    assert lines["documents"] == 31
    ok = manual.asked(200)
    assert len(ok) - len(set(ok)) <= 2  # what was under way when everything was killed


def test_a_paused_crawl_rests_until_it_is_resumed(shell, manual):
    shell.run("new", "bard", "--size", "nano")
    manual.delay = 0.15
    shell.json("crawl", f"{manual.url}/index.html", "--into", "bard", "--name", "manual", *QUICK, "--detach")
    waited(lambda: len(manual.asked(200)) >= 2)
    shell.run("crawl", "pause", "manual")
    state = waited(lambda: next((c for c in shell.json("crawl", "status")["crawls"] if c["state"] == "paused"), None))
    waited(lambda: not [job for job in shell.json("jobs", "list")["jobs"] if job["state"] in {"running", "stopping"}])
    asked = len(manual.asked())
    assert state["pending"] > 0
    manual.delay = 0.0
    assert len(manual.asked()) == asked
    assert shell.json("crawl", "resume", "manual")["pages"] == 31


PLUGIN = """
import os
import re

class LoomPress:
    generator = "loompress"

    def follows(self, address):
        return "/print/" not in address

    def page(self, markup):
        if b"EXPLODE" in markup:
            os.abort()
        return b"<html><body>" + re.search(b"<main>.*</main>", markup, re.DOTALL)[0] + b"</body></html>"

HANDLER = LoomPress()
"""


def install(folder):
    """A distribution with a site handler, as pip would lay it down; gives the environment in which it is installed."""
    about = folder / "loom_sites-1.0.dist-info"
    about.mkdir(parents=True)
    (folder / "loom_sites.py").write_text(PLUGIN)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: loom-sites\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[treadle.site_handler]\nloompress = loom_sites:HANDLER\n")
    return {**os.environ, "PYTHONPATH": str(folder)}


def test_a_plugin_decides_what_is_followed_and_read_on_its_kind_of_site(shell, site, tmp_path):
    def page(text, *links):
        anchors = "".join(f'<a href="{link}">{link}</a>' for link in links)
        head = '<head><meta name="Generator" content="LoomPress 3"></head>'
        return f"<html>{head}<body><p>Log in</p><main><p>{text}</p></main>{anchors}</body></html>".encode()

    site.pages |= {
        "/": page("The front of the loom.", "/weft", "/print/weft", "/explode"),
        "/weft": page("The weft goes across."),
        "/print/weft": page("The weft goes across, for printers."),
        "/explode": page("EXPLODE"),
    }
    shell.run("data", "new", "looms", "--html", "all")
    command = ("crawl", f"{site.url}/", "--dataset", "looms", *QUICK)
    done = shell.json(*command, env=install(tmp_path / "site"))
    assert sorted(site.asked()) == ["/", "/explode", "/weft"]
    assert (done["pages"], done["accepted"], done["refused"]) == (3, 2, {"crashed": 1})
    assert done["refusals"][0]["source"] == f"{site.url}/explode"
    shell.run("data", "export", "looms", "--out", tmp_path / "out", "--format", "jsonl", "--held-out", "0")
    rows = map(json.loads, (tmp_path / "out" / "train.jsonl").read_text().splitlines())
    assert sorted(row["text"] for row in rows) == ["The front of the loom.", "The weft goes across."]


def test_what_cannot_be_crawled_is_said_at_once(shell):
    assert "http://" in shell.refused("crawl", "nothing", "--into", "bard")
    assert "--into MODEL" in shell.refused("crawl", "https://example.org/")
    assert "--depth" in shell.refused("crawl", "https://example.org/", "--into", "bard", "--depth", "-1")
    assert "Unknown crawl" in shell.refused("crawl", "resume", "nothing")

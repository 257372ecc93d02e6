"""Runs of GitHub Actions through the CLI, against a local server that speaks the same interface."""

import json
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

COMMAND = Path(sys.executable).parent / "treadle"
TOKEN = "ghp_a-token-that-nobody-may-read"
RUNS = 130
REPOSITORY = "someone/lab"


def a_run(number):
    red = number % 50 == 0
    return {
        "id": 1000 + number, "run_number": number, "run_attempt": 1, "name": "ci", "display_title": f"Change {number}",
        "head_branch": "main" if number % 2 == 0 else "topic", "head_sha": f"{number:040x}", "event": "push",
        "status": "completed", "conclusion": "failure" if red else "success", "created_at": "2026-11-22T00:00:00Z",
        "html_url": f"https://example.org/{number}",
    }  # fmt: skip


class Actions(BaseHTTPRequestHandler):
    """The part of the REST interface that is used, with its ways of refusing."""

    def log_message(self, *_):
        pass

    def answer(self, status, value=None, **headers):
        body = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        for name, text in headers.items():
            self.send_header(name.replace("_", "-"), text)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def refused(self):
        """Whether the way of refusing that the test chose has answered."""
        self.server.seen.append((self.command, self.path, self.headers.get("Authorization")))
        mood = self.server.mood
        if mood == "unauthorised" or (self.headers.get("Authorization") != f"Bearer {TOKEN}" and mood != "public"):
            self.answer(401, {"message": "Bad credentials"})
        elif mood == "forbidden":
            self.answer(403, {"message": f"Resource not accessible by {TOKEN}"})
        elif mood == "exhausted":
            self.answer(403, {"message": "limit"}, X_RateLimit_Remaining="0", X_RateLimit_Reset="1790000000")
        elif mood == "pause":
            self.answer(429, {"message": "secondary limit"}, Retry_After="7")
        elif mood == "broken":
            self.answer(502, {"message": "bad gateway"})
        elif mood == "no json":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>")
        elif mood == "elsewhere":
            self.answer(301, None, Location=f"http://localhost:{self.server.server_port}/elsewhere")
        elif mood == "renamed" and "/repositories/" not in self.path:
            self.answer(301, None, Location=f"{self.server.base}/repositories/5{self.path}")
        else:
            return False
        return True

    def do_GET(self):
        if self.refused():
            return
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        path = parts.path.removeprefix("/repositories/5").removeprefix(f"/repos/{REPOSITORY}/actions")
        if path in {"/runs", "/workflows/ci.yml/runs"}:
            rows = [a_run(number) for number in range(RUNS, 0, -1)]
            rows = [row for row in rows if query.get("branch") in {None, row["head_branch"]}]
            rows = [row for row in rows if query.get("status") in {None, row["conclusion"]}]
            size, page = int(query["per_page"]), int(query.get("page", 1))
            headers = {}
            if len(rows) > size * page:
                host = (
                    "other.example.org"
                    if self.server.mood == "next elsewhere"
                    else f"127.0.0.1:{self.server.server_port}"
                )
                following = f"http://{host}{parts.path}?per_page={size}&page={page + 1}"
                headers["Link"] = f'<{following}>; rel="next", <http://x/last>; rel="last"'
            self.answer(
                200, {"total_count": len(rows), "workflow_runs": rows[size * (page - 1) : size * page]}, **headers
            )
        elif path == "/runs/1050":
            self.answer(200, a_run(50))
        elif path.endswith("/jobs"):
            steps = [{"name": "Set up", "conclusion": "success"}, {"name": "Tests <# x #>", "conclusion": "failure"}]
            job = {"id": 1, "name": "test (3.11)", "status": "completed", "conclusion": "failure", "steps": steps}
            self.answer(200, {"jobs": [job, {**job, "name": "check", "conclusion": "success", "steps": None}]})
        else:
            self.answer(404, {"message": "Not Found"})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.refused():
            return
        self.server.started.append(body)
        if "no-trigger" in self.path:
            self.answer(422, {"message": "Workflow does not have 'workflow_dispatch' trigger"})
        elif "missing" in self.path:
            self.answer(404, {"message": "Not Found"})
        else:
            self.answer(204)


@pytest.fixture(scope="module")
def running():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Actions)
    server.base = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def server(running):
    running.seen, running.started, running.mood = [], [], ""
    return running


@pytest.fixture
def ci(server, tmp_path):
    def ci(*arguments, code=0, token=TOKEN, base=None, repository=REPOSITORY):
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("GITHUB_", "GH_"))}
        environment |= {"HOME": str(tmp_path), "GITHUB_API_URL": base or server.base}
        environment |= {"GITHUB_TOKEN": token} if token else {}
        environment |= {"GITHUB_REPOSITORY": repository} if repository else {}
        command = [COMMAND, "flow", "ci", *map(str, arguments)]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == code, done.stdout + done.stderr
        assert TOKEN not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stderr if code and not done.stdout else done.stdout

    return ci


def test_runs_are_read_page_by_page(ci, server):
    runs = json.loads(ci("list", "--count", RUNS, "--json"))["runs"]
    assert [run["number"] for run in runs] == list(range(RUNS, 0, -1))
    assert len(server.seen) == 2
    assert len(json.loads(ci("list", "--count", 5, "--json"))["runs"]) == 5
    assert "per_page=5" in server.seen[-1][1]


def test_runs_can_be_chosen_and_read_in_a_terminal(ci):
    shown = ci("list", "--branch", "main", "--workflow", "ci.yml", "--state", "failure")
    assert [line.split()[:3] for line in shown.splitlines()[1:]] == [
        ["1100", "failure", "main"],
        ["1050", "failure", "main"],
    ]
    assert "no such runs" in ci("list", "--branch", "nowhere")


def test_a_run_is_shown_with_the_steps_that_failed(ci):
    shown = ci("show", 1050, code=1)
    assert "ci #50 on main" in shown
    assert "failed: Tests" in shown
    details = json.loads(ci("show", 1050, "--json", code=1))
    assert details["ok"] is False
    assert [job["conclusion"] for job in details["jobs"]] == ["failure", "success"]


def test_a_workflow_is_started_with_its_inputs(ci, server):
    said = ci("run", "release.yml", "--ref", "v1", "--inputs", "dry_run=true", "--inputs", "note=a=b")
    assert "asked to run on v1" in said
    assert server.started == [{"ref": "v1", "inputs": {"dry_run": "true", "note": "a=b"}}]
    assert "does not have 'workflow_dispatch' trigger" in ci("run", "no-trigger.yml", code=2)
    assert "no such run or workflow" in ci("run", "missing.yml", code=2)
    assert "Write an input as key=value" in ci("run", "release.yml", "--inputs", "x", code=2)
    assert "needs a token" in ci("run", "release.yml", token=None, code=1)


@pytest.mark.parametrize(
    ("mood", "code", "said"),
    [
        ("unauthorised", 1, "does not accept the token of GITHUB_TOKEN"),
        ("forbidden", 1, "The token may not do this in someone/lab (Resource not accessible by ***)"),
        ("exhausted", 1, "Try again after 13:33:20 UTC"),
        ("pause", 1, "Try again in 7 s"),
        ("broken", 1, "answered 502 (bad gateway)"),
        ("no json", 1, "is not JSON"),
        ("elsewhere", 1, "leads to another server; not followed"),
        ("next elsewhere", 1, "next page is on another server"),
    ],
)
def test_a_refusal_says_what_to_do_and_never_the_token(ci, server, mood, code, said):
    server.mood = mood
    if mood == "exhausted":
        said = time.strftime("Try again after %H:%M:%S UTC", time.gmtime(1790000000))
    assert said in ci("list", "--count", RUNS, code=code)


def test_the_token_is_not_sent_where_a_redirect_leads(ci, server):
    server.mood = "elsewhere"
    ci("list", code=1)
    assert [path for _, path, _ in server.seen if path == "/elsewhere"] == []


def test_a_renamed_repository_is_followed_on_the_same_server(ci, server):
    server.mood = "renamed"
    assert len(json.loads(ci("list", "--count", 3, "--json"))["runs"]) == 3


def test_what_is_missing_or_wrong_is_said(ci):
    assert "no such run" in ci("show", 7, code=2)
    assert "--count must be between 1 and 1000" in ci("list", "--count", 0, code=2)
    assert "is no repository" in ci("list", "--repository", "lab", code=2)
    assert "Give --repository OWNER/NAME" in ci("list", repository=None, code=2)
    assert "cannot be reached" in ci("list", base="http://127.0.0.1:9", code=1)
    assert "must be an address" in ci("list", base="ftp://x", code=2)
    assert "would not be encrypted" in ci("list", base="http://example.org", code=2)


def test_the_repository_is_that_of_the_git_remote(ci, server, tmp_path):
    for address in ("git@github.com:someone/lab.git", "https://github.com/someone/lab"):
        subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
        subprocess.run(["git", "remote", "add", "origin", address], cwd=tmp_path, check=True)
        assert json.loads(ci("list", "--count", 1, "--json", repository=None))["repository"] == REPOSITORY
        subprocess.run(["git", "remote", "remove", "origin"], cwd=tmp_path, check=True)


def test_without_a_token_none_is_sent(ci, server):
    server.mood = "public"
    ci("list", "--count", 1, token=None)
    assert server.seen[-1][2] is None


def test_each_red_run_becomes_one_line_of_the_log(ci, server, tmp_path):
    subprocess.run([COMMAND, "flow", "init"], cwd=tmp_path, check=True, capture_output=True)
    lines = json.loads(ci("log", "--count", 100, "--json"))["lines"]
    assert len(lines) == 2
    assert "CI failure: ci #50 on main (0000000), test (3.11): Tests" in lines[0]
    assert lines[0].endswith("<# ci 1050.1 #>")
    assert lines[0].count("<#") == 1
    written = "".join(path.read_text() for path in (tmp_path / "flow").rglob("*.md"))
    assert all(line in written for line in lines)
    assert json.loads(ci("log", "--count", 100, "--json"))["lines"] == []
    assert "0 new red runs among 100 runs" in ci("log", "--count", 100)

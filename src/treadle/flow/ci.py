"""GitHub Actions over REST: the runs of a repository, what failed in them, starting one. Standard library only."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from treadle.base.errors import NotFoundError, TreadleError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from email.message import Message
    from pathlib import Path

RED = frozenset({"failure", "timed_out", "startup_failure", "action_required"})
"""Conclusions that want somebody's attention."""
_TOKENS = ("GITHUB_TOKEN", "GH_TOKEN")
_SECONDS = 20
_PAGE = 100
_LARGEST = 20_000_000
_REPOSITORY = re.compile(r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+")
_REMOTE = re.compile(r"[/:@]github\.com[/:]([^/]+/[^/]+?)(?:\.git)?/?$")
_NEXT = re.compile(r'<([^>]+)>\s*;[^,]*\brel="?next"?')


class CiError(TreadleError):
    """The service refused, or could not be reached."""


@dataclass(frozen=True, slots=True)
class CiRun:
    """One run of a workflow."""

    id: int
    number: int
    attempt: int
    workflow: str
    title: str
    branch: str
    commit: str
    event: str
    status: str
    """`queued`, `in_progress`, `completed`, ..."""
    conclusion: str | None
    """`success`, `failure`, `cancelled`, ...; None while it runs."""
    created: str
    url: str

    @property
    def red(self) -> bool:
        """Whether it ended in a way that wants attention."""
        return self.conclusion in RED


class GitHub:
    """One repository behind the REST interface. The token goes to that server only, and into no message."""

    def __init__(self, repository: str, token: str | None, base: str) -> None:
        """Talk to `base`, such as https://api.github.com."""
        if _REPOSITORY.fullmatch(repository) is None:
            raise UsageError(f"{repository!r} is no repository; write it as OWNER/NAME.")
        self.repository = repository
        self._token = token
        self._base = base.rstrip("/")
        where = urllib.parse.urlsplit(self._base)
        if where.scheme not in {"http", "https"} or not where.hostname:
            raise UsageError(f"GITHUB_API_URL must be an address such as https://api.github.com, not {base!r}.")
        if token and where.scheme == "http" and where.hostname not in {"127.0.0.1", "localhost", "::1"}:
            raise UsageError(
                f"The token is not sent to {self._base}: the connection would not be encrypted. Use https."
            )
        self._opener = urllib.request.build_opener(_SameServer(self._base))

    def runs(self, filters: Mapping[str, str], count: int) -> list[CiRun]:
        """The newest runs that fit, at most `count`."""
        workflow = filters.get("workflow")
        path = f"/actions/workflows/{urllib.parse.quote(workflow, safe='')}/runs" if workflow else "/actions/runs"
        query = {key: value for key, value in filters.items() if key != "workflow"}
        found: list[CiRun] = []
        for row in self._pages(path, "workflow_runs", {**query, "per_page": str(min(count, _PAGE))}):
            found.append(_run(row))
            if len(found) == count:
                break
        return found

    def run(self, identity: int) -> CiRun:
        """One run."""
        return _run(self._json("GET", self._address(f"/actions/runs/{identity}"))[0])

    def jobs(self, identity: int) -> list[dict[str, Any]]:
        """The jobs of a run's last attempt, each with its `name`, `conclusion` and the names of failed `steps`."""
        found = []
        for row in self._pages(f"/actions/runs/{identity}/jobs", "jobs", {"per_page": str(_PAGE)}):
            steps = [step["name"] for step in row.get("steps") or [] if step.get("conclusion") in RED]
            job = {key: row.get(key) for key in ("id", "name", "status", "conclusion")}
            found.append({**job, "url": row.get("html_url"), "failed_steps": steps})
        return found

    def start(self, workflow: str, reference: str, inputs: Mapping[str, str]) -> None:
        """Start a workflow by hand (`workflow_dispatch`) on a branch or tag."""
        if not self._token:
            raise CiError(f"Starting a run needs a token: set {_TOKENS[0]} to one that may write actions.")
        address = self._address(f"/actions/workflows/{urllib.parse.quote(workflow, safe='')}/dispatches")
        self._json("POST", address, {"ref": reference, "inputs": dict(inputs)})

    def _address(self, path: str, query: Mapping[str, str] | None = None) -> str:
        asked = f"?{urllib.parse.urlencode(query)}" if query else ""
        return f"{self._base}/repos/{self.repository}{path}{asked}"

    def _pages(self, path: str, key: str, query: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        address: str | None = self._address(path, query)
        while address:
            page, headers = self._json("GET", address)
            rows = page.get(key)
            if not isinstance(rows, list):
                raise CiError(f"The answer of {self._base} has no list `{key}`.")
            yield from rows
            found = _NEXT.search(headers.get("Link") or "")
            address = urllib.parse.urljoin(address, found[1]) if found else None
            if address and not _same_server(address, self._base):
                raise CiError(f"The answer's next page is on another server than {self._base}; not followed.")

    def _json(self, method: str, address: str, body: object = None) -> tuple[dict[str, Any], Message]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(address, data, self._headers(), method=method)  # noqa: S310 - checked above
        try:
            with self._opener.open(request, timeout=_SECONDS) as answer:
                text, headers = answer.read(_LARGEST), answer.headers
        except urllib.error.HTTPError as error:
            with error:
                raise self._refused(error.code, error.headers, error.read(_LARGEST)) from None
        except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
            reason = getattr(error, "reason", error)
            raise CiError(self._clean(f"{self._base} cannot be reached: {reason}. Try again.")) from None
        try:
            value = json.loads(text) if text else {}
        except ValueError:
            raise CiError(f"The answer of {self._base} is not JSON; is GITHUB_API_URL right?") from None
        return value if isinstance(value, dict) else {}, headers

    def _headers(self) -> dict[str, str]:
        headers = {
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
            "User-Agent": "treadle",
            "Content-Type": "application/json",
        }
        return {**headers, "Authorization": f"Bearer {self._token}"} if self._token else headers

    def _refused(self, status: int, headers: Message, body: bytes) -> TreadleError:
        said = _message(body)
        if status in {403, 429} and (headers.get("X-RateLimit-Remaining") == "0" or headers.get("Retry-After")):
            return CiError(f"{self._base} asks for a pause: its limit of requests is used up. {_until(headers)}")
        if status == 401:
            return CiError(f"{self._base} does not accept the token of {_named_token()}: expired, revoked or mistyped.")
        if status == 403:
            return CiError(
                self._clean(f"The token may not do this in {self.repository} ({said}). It needs the right `actions`.")
            )
        if status == 404:
            seen = "" if self._token else f" A private one needs a token in {_TOKENS[0]}."
            return NotFoundError(f"{self.repository} has no such run or workflow, or is not visible.{seen}")
        if status == 422:
            return UsageError(self._clean(f"{self.repository} refused the request: {said}."))
        return CiError(self._clean(f"{self._base} answered {status} ({said}). Try again later."))

    def _clean(self, text: str) -> str:
        return text.replace(self._token, "***") if self._token else text


class _SameServer(urllib.request.HTTPRedirectHandler):
    """Follows a redirect (of a renamed repository) only where the token may go."""

    def __init__(self, base: str) -> None:
        self._base = base

    def redirect_request(self, *given: Any) -> urllib.request.Request | None:  # noqa: ANN401 - urllib's signature
        address = given[-1]
        if not _same_server(address, self._base):
            raise CiError(f"{self._base} leads to another server; not followed, since the token would go along.")
        return super().redirect_request(*given)


def open_repository(repository: str | None, folder: Path) -> GitHub:
    """The repository named, or that of GITHUB_REPOSITORY, or that of the git remote `origin`; with the token."""
    token = next((os.environ[name] for name in _TOKENS if os.environ.get(name)), None)
    base = os.environ.get("GITHUB_API_URL") or "https://api.github.com"
    return GitHub(repository or os.environ.get("GITHUB_REPOSITORY") or _origin(folder), token, base)


def _origin(folder: Path) -> str:
    command = ["git", "remote", "get-url", "origin"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    found = _REMOTE.search(done.stdout.strip())
    if done.returncode or found is None:
        raise UsageError("Which repository? Give --repository OWNER/NAME: the remote `origin` is not one of GitHub.")
    return found[1]


def line_of(run: CiRun, jobs: list[dict[str, Any]]) -> str:
    """What the log says of a red run; `mark_of` finds it again."""
    failed = [job for job in jobs if job["conclusion"] in RED]
    what = "; ".join(f"{job['name']}: {', '.join(job['failed_steps']) or job['conclusion']}" for job in failed)
    said = f"CI {run.conclusion}: {run.workflow} #{run.number} on {run.branch} ({run.commit[:7]})"
    plain = f"{said}, {what}" if what else said
    return f"{plain.replace('<#', '').replace('#>', '')} {run.url} {mark_of(run)}"


def mark_of(run: CiRun) -> str:
    """What stands in a line of the log that is about this attempt of a run."""
    return f"<# ci {run.id}.{run.attempt} #>"


def _run(row: dict[str, Any]) -> CiRun:
    try:
        return CiRun(
            id=int(row["id"]),
            number=int(row["run_number"]),
            attempt=int(row.get("run_attempt") or 1),
            workflow=str(row.get("name") or row.get("path") or "?"),
            title=str(row.get("display_title") or ""),
            branch=str(row.get("head_branch") or "?"),
            commit=str(row.get("head_sha") or ""),
            event=str(row.get("event") or ""),
            status=str(row["status"]),
            conclusion=row.get("conclusion"),
            created=str(row.get("created_at") or ""),
            url=str(row.get("html_url") or ""),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CiError(f"The answer's description of a run is not understood: {error!r} is missing or wrong.") from error


def _same_server(address: str, base: str) -> bool:
    one, other = urllib.parse.urlsplit(address), urllib.parse.urlsplit(base)
    return (one.scheme, one.netloc) == (other.scheme, other.netloc)


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return "no reason given"


def _until(headers: Message) -> str:
    pause = headers.get("Retry-After") or ""
    if pause.isdigit():
        return f"Try again in {pause} s."
    reset = headers.get("X-RateLimit-Reset") or ""
    if reset.isdigit():
        return f"Try again after {dt.datetime.fromtimestamp(int(reset), dt.UTC):%H:%M:%S} UTC."
    return "Try again later."


def _named_token() -> str:
    return next((name for name in _TOKENS if os.environ.get(name)), _TOKENS[0])

"""How answers about roles, guarded commands and runs of CI read in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from treadle.base import units

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Report = dict[str, Any]


def _init(report: Report, _: Mapping[str, Any]) -> list[str]:
    names = ", ".join(role["name"] for role in report["roles"])
    return [
        f"Roles {names} are in {report['file']}: edit them, then commit the file.",
        "Next: treadle flow guard run --role docs -- COMMAND",
    ]


def _list(report: Report, _: Mapping[str, Any]) -> list[str]:
    lines = [report["file"]]
    for role in report["roles"]:
        lines.append(f"{role['name']}: {role['purpose']}")
        writes = "nothing" if role["read_only"] else ", ".join(role["writes"]) or "nothing"
        lines.append(f"  writes      {writes}{' (no new files)' if role['no_new_files'] else ''}")
        lines.append(f"  commits     {'itself' if role['may_commit'] else 'through the guard'}")
        keys = [key for key in ("commands", "operations", "gates", "must_read") if role[key]]
        lines += [f"  {key.replace('_', ' '):<11} {', '.join(role[key])}" for key in keys]
    return lines


def _run(report: Report, _: Mapping[str, Any]) -> list[str]:
    lines = [f"guard: {note}" for note in report["notes"]]
    if report["changed"] and not report["findings"]:
        watched = "diff" if report["layer"] == "diff" else "the kernel"
        number = units.counted(len(report["changed"]), "file")
        lines.append(f"guard: {number} changed, all within the role `{report['role']}` (watched by {watched})")
    if report["commit"]:
        lines.append(f"guard: committed as {report['commit'][:12]}")
    return lines + _findings(report)


def _check(report: Report, _: Mapping[str, Any]) -> list[str]:
    if report["findings"]:
        return [*_findings(report), f"{units.counted(len(report['findings']), 'finding')} (roles: {report['roles']})."]
    commits = f"{units.counted(report['commits'], 'commit')} after {report['base'][:12]}"
    return [f"{commits}: the role `{report['role']}` kept to its own."]


def _test_first(report: Report, _: Mapping[str, Any]) -> list[str]:
    lines = [f"  {test}" for test in report["tests"]]
    if not report["findings"]:
        number = units.counted(len(report["tests"]), "new test")
        commits = units.counted(report["commits"], "commit")
        return [*lines, f"{number} in {commits}: each failed before its commit and stayed as it was."]
    return [*lines, *_findings(report), f"{units.counted(len(report['findings']), 'finding')}."]


def _ci_list(report: Report, _: Mapping[str, Any]) -> list[str]:
    if not report["runs"]:
        return [f"{report['repository']} has no such runs."]
    row = "{id:<12} {state:<12} {branch:<16} {commit:<8} {what}"
    lines = [row.format(id="run", state="state", branch="branch", commit="commit", what="workflow")]
    for run in report["runs"]:
        state = run["conclusion"] or run["status"]
        what = f"{run['workflow']} #{run['number']}  {run['title']}".rstrip()
        lines.append(row.format(id=run["id"], state=state, branch=run["branch"], commit=run["commit"][:7], what=what))
    return lines


def _ci_show(report: Report, _: Mapping[str, Any]) -> list[str]:
    run = report["run"]
    state = run["conclusion"] or run["status"]
    lines = [f"{run['workflow']} #{run['number']} on {run['branch']} ({run['commit'][:7]}): {state}", f"  {run['url']}"]
    for job in report["jobs"]:
        lines.append(f"  {job['conclusion'] or job['status']:<12} {job['name']}")
        lines += [f"{'':<15}failed: {step}" for step in job["failed_steps"]]
    return lines


def _ci_run(report: Report, _: Mapping[str, Any]) -> list[str]:
    return [
        f"{report['workflow']} of {report['repository']} was asked to run on {report['ref']}.",
        f"Next: treadle flow ci list --workflow {report['workflow']}",
    ]


def _ci_log(report: Report, _: Mapping[str, Any]) -> list[str]:
    new = units.counted(len(report["lines"]), "new red run")
    return [*report["lines"], f"{new} among {units.counted(report['seen'], 'run')}."]


def _nothing(_: Report, __: Mapping[str, Any]) -> list[str]:
    """A server has said what there was to say, and its output may belong to a protocol."""
    return []


def _findings(report: Report) -> list[str]:
    return [f"{row['path']}: {row['reason']}{_of_commit(row['commit'])}" for row in report["findings"]]


def _of_commit(commit: str) -> str:
    return f" (commit {commit[:12]})" if commit else ""


GUARD_VIEWS: dict[str, Callable[[Report, Mapping[str, Any]], list[str]]] = {
    "flow.guard.init": _init,
    "flow.guard.list": _list,
    "flow.guard.run": _run,
    "flow.guard.check": _check,
    "flow.guard.test-first": _test_first,
    "flow.ci.list": _ci_list,
    "flow.ci.show": _ci_show,
    "flow.ci.run": _ci_run,
    "flow.ci.log": _ci_log,
    "mcp": _nothing,
}

"""Runs on a host, by whatever Python 3.8 or later it has: downloads checkpoints, or reads them and tells their hashes.

`python checkpoints.py PLAN.json` in the run's folder. Every line that it prints is one JSON event. What was read once
is written into `hashed.jsonl`, so that the next attempt of the same job does not read it again.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

PIECE = 1 << 22
PATIENCE = 8
"""Failures in a row, without a byte in between, after which a file is given up."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
ROOM = 1 << 30
"""Bytes that stay free on the disk."""


class Refused(Exception):  # noqa: N818 - a reason, not an accident
    """Why something cannot be had."""


def say(event: str, **facts: object) -> None:
    """Tell one event."""
    print(json.dumps({"event": event, **facts}), flush=True)


class Work:
    """One plan, and what is known of its files."""

    def __init__(self, plan: dict) -> None:  # type: ignore[type-arg]
        self.plan = plan
        self.folder = Path(plan["folder"])
        self.seen: dict[str, dict[str, object]] = {}
        self.told = 0.0
        for earlier in [*plan["earlier"], "."]:
            path = Path(earlier, "hashed.jsonl")
            for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
                try:
                    row = json.loads(line)
                    self.seen[row["path"]] = row
                except ValueError:  # the last line of an attempt that was killed
                    continue

    def progress(self, path: str, done: int, size: int, *, what: str) -> None:
        """Tell how far a file is, once a second."""
        if time.monotonic() > self.told + 1:
            self.told = time.monotonic()
            say("progress", path=path, done=done, size=size, what=what)

    def read(self, path: str) -> dict[str, object]:
        """Hashes of a file; from an earlier attempt of this job if it has not changed since."""
        file = self.folder / path
        facts = file.stat()
        known = self.seen.get(path)
        sums = self.sums(path, facts.st_size)
        if known is not None and (known["bytes"], known["changed"]) == (facts.st_size, facts.st_mtime_ns):
            return known
        with file.open("rb") as source:
            while True:
                piece = source.read(PIECE)
                if not piece:
                    break
                sums.add(piece)
                self.progress(path, sums.size, facts.st_size, what="reading")
        return self.keep(path, sums)

    def sums(self, path: str, size: int) -> Sums:
        """The sums that the plan needs of a file; each costs time on hundreds of gigabytes."""
        return Sums(size, md5=path in self.plan["md5"], blob=self.plan["verb"] == "download")

    def keep(self, path: str, sums: Sums) -> dict[str, object]:
        """Write down what was read."""
        changed = (self.folder / path).stat().st_mtime_ns
        row = {"path": path, "bytes": sums.size, "changed": changed, **sums.found()}
        self.seen[path] = row
        with Path("hashed.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        return row

    def tell(self, path: str, row: dict[str, object], source: str = "") -> None:
        """Tell that a file is what it shall be, or refuse it."""
        wanted = self.plan["md5"].get(path)
        if wanted is not None and wanted != row["md5"]:
            say("refused", path=path, reason="its MD5 is " + str(row["md5"]) + ", in the table " + wanted)
            return
        facts = {name: row[name] for name in ("sha256", "bytes", "changed")}
        say("file", path=path, source=source, md5=wanted is not None, **facts)


class Sums:
    """SHA-256 of a file of `size` bytes; where it is wanted, MD5 (upstream's table) and git's own sum (small files)."""

    def __init__(self, size: int, *, md5: bool, blob: bool) -> None:
        self.size = 0
        self._sums = {"sha256": hashlib.sha256()}
        if md5:
            self._sums["md5"] = hashlib.md5()  # noqa: S324 - no secret hangs on it
        if blob:
            self._sums["blob"] = hashlib.sha1(b"blob %d\0" % size)  # noqa: S324 - it is git's

    def add(self, piece: bytes) -> None:
        """Take the next piece."""
        self.size += len(piece)
        for one in self._sums.values():
            one.update(piece)

    def found(self) -> dict[str, object]:
        """The sums by name."""
        return {name: one.hexdigest() for name, one in self._sums.items()}


def hash_all(work: Work) -> None:
    """Read what is in the folder, or of that what is expected."""
    expected = work.plan["expected"]
    there = []
    for root, folders, names in os.walk(str(work.folder)):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        there += [Path(root, name).relative_to(work.folder).as_posix() for name in names if not name.startswith(".")]
    for path in sorted(there):
        if expected is not None and path not in expected:
            say("unknown", path=path)
            continue
        try:
            work.tell(path, work.read(path))
        except OSError as error:
            say("refused", path=path, reason="cannot be read: " + str(error))


def ask(address: str, start: int = 0) -> object:
    """Open an address; the token goes to the server that was asked and not to where it sends us."""
    request = urllib.request.Request(address, headers={"User-Agent": "treadle"})  # noqa: S310 - checked by the caller
    token = os.environ.get("HF_TOKEN")
    if token:
        request.add_unredirected_header("Authorization", "Bearer " + token)
    if start:
        request.add_header("Range", "bytes=" + str(start) + "-")
    return urllib.request.urlopen(request, timeout=60)  # noqa: S310


def listing(endpoint: str, name: str) -> tuple:  # type: ignore[type-arg]
    """Commit and files of a repository, each as (path, bytes, SHA-256 or None, git's sum or None)."""
    repository, _, revision = name.partition("@")
    where = endpoint + "/api/models/" + repository + "/revision/" + urllib.parse.quote(revision or "main", safe="")
    failures, found = 0, None
    while found is None:
        try:
            with ask(where + "?blobs=true") as answer:  # type: ignore[attr-defined]
                found = json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code in (401, 403):
                reason = "asks for a licence: accept it at {}/{}, and give the host a token (--token-file)"
                raise Refused(reason.format(endpoint, repository)) from error
            if error.code < 500:
                raise Refused(f"the server says {error.code} {error.reason}") from error
            failures = patient(failures, error)
        except (OSError, ValueError) as error:
            failures = patient(failures, error)
    rows = []
    for entry in found["siblings"]:
        path = entry["rfilename"]
        if path.startswith("/") or ".." in path.split("/"):
            raise Refused("it has a file outside of its folder: " + path)
        large = entry.get("lfs") or {}
        rows.append((path, int(large.get("size", entry["size"])), large.get("sha256"), entry.get("blobId")))
    return repository, found["sha"], rows


def download_all(work: Work) -> None:
    """Get all files of all repositories, each compared with what its server announced."""
    wanted = []
    for name in work.plan["repositories"]:
        try:
            repository, commit, rows = listing(work.plan["endpoint"], name)
        except Refused as refusal:
            say("refused", path=name, reason=str(refusal))
            continue
        say("repository", path=name, files=len(rows), bytes=sum(row[1] for row in rows), commit=commit)
        wanted += [(repository, commit, row) for row in rows]
    work.folder.mkdir(parents=True, exist_ok=True)
    need = sum(row[1] - there(work.folder / repository / row[0], row[1]) for repository, _, row in wanted)
    disk = os.statvfs(str(work.folder))
    free = disk.f_bavail * disk.f_frsize
    if need + ROOM > free:
        sys.exit(f"No space for the checkpoints: {need / 1e9:.1f} GB are missing, {free / 1e9:.1f} GB are free.")
    for repository, commit, row in wanted:
        path = repository + "/" + row[0]
        try:
            work.tell(path, fetched(work, path, row, (repository, commit)), repository + "@" + commit)
        except (Refused, OSError) as error:
            say("refused", path=path, reason=str(error))


def there(target: Path, size: int) -> int:
    """Bytes of a file that need not be fetched."""
    for path in (target, part_of(target)):
        if path.is_file():
            return min(size, path.stat().st_size)
    return 0


def part_of(target: Path) -> Path:
    """Where a file grows until it is whole."""
    return target.with_name("." + target.name + ".part")


def fetched(work: Work, path: str, row: tuple, source: tuple) -> dict[str, object]:  # type: ignore[type-arg]
    """One file, whole and as announced; goes on where it was cut."""
    _, size, sha256, blob = row
    target = work.folder / path
    if target.is_file() and target.stat().st_size == size:
        known = work.read(path)
        if as_announced(known, sha256, blob):
            return known
    target.parent.mkdir(parents=True, exist_ok=True)
    address = "/".join([work.plan["endpoint"], source[0], "resolve", source[1], urllib.parse.quote(row[0])])
    for last in (False, True):
        sums = grown(work, path, address, size)
        if sums.size == size and as_announced(sums.found(), sha256, blob):
            os.replace(part_of(target), target)  # noqa: PTH105 - as of Python 3.8
            return work.keep(path, sums)
        part_of(target).unlink()
        if last:
            break
    raise Refused("what came is not what was announced, twice")


def as_announced(found: dict, sha256: object, blob: object) -> bool:  # type: ignore[type-arg]
    """Whether a file has the sum that its server gave."""
    return bool(found["sha256"] == sha256 if sha256 else found["blob"] == blob)


def grown(work: Work, path: str, address: str, size: int) -> Sums:
    """Let the part of a file grow until it is as long as announced."""
    part, failures = part_of(work.folder / path), 0
    sums = work.sums(path, size)
    with part.open("a+b") as file:
        file.seek(0)
        for piece in iter(lambda: file.read(PIECE), b""):
            sums.add(piece)
        while sums.size < size:
            try:
                with ask(address, sums.size) as answer:  # type: ignore[attr-defined]
                    if sums.size and answer.status != 206:  # it begins at the beginning
                        file.truncate(0)
                        sums = work.sums(path, size)
                    for piece in iter(lambda: answer.read1(PIECE), b""):
                        file.write(piece)
                        file.flush()
                        sums.add(piece)
                        failures = 0
                        work.progress(path, sums.size, size, what="downloading")
                if sums.size < size:
                    failures = patient(failures, OSError("the connection ended early"))
            except urllib.error.HTTPError as error:
                if error.code in (401, 403, 404):
                    raise Refused(f"the server says {error.code} {error.reason}") from error
                failures = patient(failures, error)
            except OSError as error:
                if error.errno == 28:
                    raise Refused("no space left on the disk") from error
                failures = patient(failures, error)
        file.flush()
        os.fsync(file.fileno())
    return sums


def patient(failures: int, error: Exception) -> int:
    """Wait before the next attempt; raises `Refused` after too many without a byte in between."""
    if failures >= PATIENCE:
        raise Refused(f"given up: {error}") from error
    time.sleep(min(LONGEST_PAUSE, FIRST_PAUSE * 2**failures))
    return failures + 1


def main() -> None:
    """Carry out the plan."""
    work = Work(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    {"hash": hash_all, "download": download_all}[work.plan["verb"]](work)
    say("complete")


if __name__ == "__main__":
    main()

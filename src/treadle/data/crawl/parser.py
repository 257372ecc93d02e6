"""Looking through what a crawl was answered, in a process with limits: a page that it dies of is refused.

Links decide where a crawl goes, so their parser sees every page first; a crash, a bomb or an endless page must cost
that page and nothing else, as when files are read (`readers/sandbox.py`).
"""

from __future__ import annotations

import json
import tempfile
import threading
from typing import TYPE_CHECKING, Final, Literal

from treadle.data.crawl.found import Found, PageFacts
from treadle.data.readers.limited import START_SECONDS, LimitedProcess, Limits

if TYPE_CHECKING:
    from typing import Self

    from treadle.data.crawl.fetching import Answer

_PROCESS: Final = "treadle.data.crawl.parsing"
_LIMITS: Final = Limits(seconds=20)


class ParsingError(Exception):
    """A body could not be looked through."""

    def __init__(self, trouble: Literal["parser_crashed", "parser_stalled", "unreadable"], said: str) -> None:
        super().__init__(said)
        self.trouble: Literal["parser_crashed", "parser_stalled", "unreadable"] = trouble


class PageParser:
    """One warm process; threads wait for each other. Use it as a context."""

    def __init__(self, limits: Limits = _LIMITS) -> None:
        """Start nothing yet: the process begins with the first page."""
        self._limits = limits
        self._body = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`; it has no name that could be left
        file = self._body.fileno()
        self._process = LimitedProcess(_PROCESS, limits.memory, {"body": file}, (file,))
        self._turn = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        with self._turn:
            self._process.close()
            self._body.close()

    def look_through(self, address: str, answer: Answer, *, strip_tracking: bool) -> Found:
        """What the body of an answer holds for a crawl; raises `ParsingError`."""
        question = {
            "address": address,
            "type": answer.type,
            "robots": answer.header("x-robots-tag"),
            "strip_tracking": strip_tracking,
            "size": len(answer.body),
        }
        with self._turn:
            self._body.seek(0)
            self._body.truncate()
            self._body.write(answer.body)
            self._body.flush()
            if self._process.begin() and self._process.line(START_SECONDS) != b"ready":
                self._process.kill()
                raise ParsingError("parser_crashed", "The parser of pages does not start.")
            self._process.write(question)
            line = self._process.line(self._limits.seconds)
            if not line:
                raise self._death(stalled=line is None)
        return _found(line)

    def _death(self, *, stalled: bool) -> ParsingError:
        words = None if stalled else self._process.last_words()
        self._process.kill()
        if words is None:
            return ParsingError("parser_stalled", f"Its parser found no end in {self._limits.seconds:g} s.")
        return ParsingError("parser_crashed", f"Its parser crashed on it ({words}).")


def _found(line: bytes) -> Found:
    stored = json.loads(line)
    if "error" in stored:
        raise ParsingError("unreadable", f"Its links cannot be read: {stored['error']}.")
    facts = stored.pop("facts")
    return Found(
        PageFacts(**{**facts, "links": tuple(facts["links"]), "feeds": tuple(facts["feeds"])}),
        stored["is_list"],
        tuple(stored["pages"]),
        tuple(stored["lists"]),
    )

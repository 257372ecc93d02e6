"""Stop strings in streamed text: what stands before one is kept, and nothing of it ever gets out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class StopFilter:
    """Holds text back while it may be the beginning of a stop string.

    The stop string that is complete first counts; of two complete at once, the longer. How the text was cut into
    pieces makes no difference.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.stopped = False

    def push(self, text: str) -> str:
        """Take more text and give what is now certain; after a stop, nothing more comes."""
        if self.stopped:
            return ""
        whole = self._held + text
        found = [(start + len(stop), start) for stop in self._stops if (start := whole.find(stop)) >= 0]
        if found:
            self.stopped = True
            self._held = ""
            return whole[: min(found)[1]]
        kept = self._doubtful(whole)
        self._held = whole[len(whole) - kept :]
        return whole[: len(whole) - kept]

    def finish(self) -> str:
        """Give what is held back: the text ended before it became a stop string."""
        held, self._held = self._held, ""
        return held

    def _doubtful(self, text: str) -> int:
        """Length of the longest end of `text` that begins a stop string."""
        longest = max((len(stop) for stop in self._stops), default=1) - 1
        for length in range(min(longest, len(text)), 0, -1):
            if any(stop.startswith(text[-length:]) for stop in self._stops):
                return length
        return 0

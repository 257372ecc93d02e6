"""The live display of a run: one line that changes in place, and lines that stay."""

from __future__ import annotations

import textwrap
import time
from typing import TYPE_CHECKING, Any, Self

from treadle.base import units

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

    from treadle.telemetry.events import Event

_PLAIN_SECONDS = 10.0
"""Where the output is not a terminal, at most one progress line in this time."""
_SAMPLE_LINES = 4
_SPINNER = 2
"""Columns that the spinner and its gap take."""
_FEW = 9.95
"""Below this speed a decimal is shown."""
_WIDE = 98
"""From this width on there is room for the memory."""


class Display:
    """Shows the events of one job."""

    def __init__(self, *, quiet: bool) -> None:
        """Show nothing if `quiet`; what is shown goes to standard error, so that answers can be piped."""
        self._quiet = quiet
        self._console: Console | None = None
        self._status: Status | None = None
        self._last_plain = time.monotonic()
        self._unit = "tok"

    def __enter__(self) -> Self:
        if not self._quiet:
            from rich.console import Console

            self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def show(self, event: Event | None) -> None:
        """Show one event; events that mean nothing to people are passed over."""
        if event is None or self._console is None:
            return
        view = getattr(self, f"_on_{event.type}", None)
        if view is not None:
            view(event.data)

    def _on_reading(self, data: dict[str, Any]) -> None:
        read, refused = data.get("read", 0), data.get("refused", 0)
        self._live(
            f"reading  {units.counted(read, 'document')}, {units.size(data.get('bytes', 0))}, {refused:,} refused"
        )

    def _on_crawl_started(self, data: dict[str, Any]) -> None:
        how = "Crawling" if data["round"] == 1 else "Looking for news on"
        how = how if data["fresh"] else "Going on with"
        self._line(f"{how} {', '.join(data['seeds'][:3])}. Ctrl-C leaves it running in the background.")

    def _on_crawling(self, data: dict[str, Any]) -> None:
        parts = [f"crawling  {data['pages']:,} pages, {data['pending']:,} pending, {data['accepted']:,} fed"]
        parts += [f"{data[word]:,} {word}" for word in ("unchanged", "failed") if data[word]]
        self._live(", ".join(parts))

    def _on_model(self, data: dict[str, Any]) -> None:
        self._unit = "tok" if data.get("unit", "tokens") == "tokens" else data["unit"]
        self._line(
            f"Training `{data['name']}` ({data['family']} {data['size']}, {data['shown_parameters']} parameters) on "
            f"{units.count(data['targets'])} {data.get('unit', 'tokens')}, "
            f"{units.count(data['held_out_targets'])} held out."
        )

    def _on_cell(self, data: dict[str, Any]) -> None:
        step = "" if data.get("step") is None else f"  step {data['step']:,}  loss {_figure(data['loss'])}"
        self._live(f"{data['number']} of {data['total']}  {data['label']}, seed {data['seed']}{step}")

    def _on_frames(self, data: dict[str, Any]) -> None:
        self._live(frames_line(data))

    def _on_transfer(self, data: dict[str, Any]) -> None:
        self._live(data["message"])

    def _on_stage(self, data: dict[str, Any]) -> None:
        self._live(f"there: {data['stage']}")

    def _on_clip(self, data: dict[str, Any]) -> None:
        self._live(f"there: clip {data['done']} of {data['total']}")

    def _on_step(self, data: dict[str, Any]) -> None:
        clips = data.get("clips", 1)
        clip = f"clip {data['clip'] + 1} of {clips}, " if clips > 1 else ""
        self._live(f"there: {clip}step {data['step']} of {data['total']}")

    def _on_item_done(self, data: dict[str, Any]) -> None:
        self._line(f"  {data['name']}: {data['video']}, after {units.duration(data['seconds'])}")

    def _on_queued(self, data: dict[str, Any]) -> None:
        self._line(f"Job {data['job']} waits: {data['message']}.", style="yellow")

    def _on_note(self, data: dict[str, Any]) -> None:
        self._line(data["message"])

    def _on_training_started(self, data: dict[str, Any]) -> None:
        if data["kind"] == "finished":
            self._line(data["message"])
            return
        plan = data["plan"]
        self._line(f"{data['message']} Ctrl-C leaves it running in the background.")
        details = ", ".join(f"{key} {value}" for key, value in plan.items() if isinstance(value, str | int))
        self._line(f"  {details}", style="dim")

    def _on_progress(self, data: dict[str, Any]) -> None:
        self._live(progress_line({"unit": self._unit, **data}, self._width - _SPINNER))

    def _on_evaluation(self, data: dict[str, Any]) -> None:
        bits = data.get("bits_per_byte")
        shown = "" if bits is None else f"   ({bits:.2f} bits/byte)"
        shown += "" if data.get("accuracy") is None else f"   ({data['accuracy']:.2%} right)"
        place = f"epoch {data['epoch']:5.2f}  step {data['step']:>6,}"
        self._line(f"  {place}   held out {data['held_out_loss']:.3f}{shown}")

    def _on_evaluating(self, data: dict[str, Any]) -> None:
        self._live(f"measuring the checkpoint at step {data['step']:,} on all held-out data")

    def _on_sample(self, data: dict[str, Any]) -> None:
        self._line(f"  sample at step {data['step']:,} ({data['real_words']:.0%} real words)", style="dim")
        lines = [line.rstrip() for line in data["text"].strip().splitlines() if line.strip()]
        for line in lines[:_SAMPLE_LINES]:
            self._line(f"    | {line[: self._width - 6]}", style="cyan")

    def _on_sample_failed(self, data: dict[str, Any]) -> None:
        self._line(f"  no sample at step {data['step']:,}: {data['reason']}", style="yellow")

    def _on_recovery(self, data: dict[str, Any]) -> None:
        self._line(f"  {data['message']}", style="yellow")

    @property
    def _width(self) -> int:
        return 80 if self._console is None else self._console.width

    def _line(self, text: str, style: str | None = None) -> None:
        if self._console is None:
            return
        # A file or a pipe gets each message whole: who searches it should find it on one line.
        lines = wrapped(text, self._width) if self._console.is_terminal else [text]
        for line in lines:
            self._console.print(line, style=style, markup=False)

    def _live(self, text: str) -> None:
        """Renew the changing line; where the output is no terminal, print one now and then."""
        console = self._console
        if console is None:
            return
        if not console.is_terminal:
            if time.monotonic() - self._last_plain >= _PLAIN_SECONDS:
                self._last_plain = time.monotonic()
                self._line(f"  {text}")
            return
        from rich.text import Text

        shown = Text(text, no_wrap=True, overflow="ellipsis")
        if self._status is None:
            self._status = console.status(shown, spinner="dots")
            self._status.start()
        else:
            self._status.update(shown)


def progress_display(*, quiet: bool) -> Display:
    """The display for a command: silent with `--json`."""
    return Display(quiet=quiet)


def frames_line(data: dict[str, Any]) -> str:
    """How far work on a video is; where it is read more than once, which time this is."""
    done, total, passes = data["done"], data["total"], data.get("passes", 1)
    place = ""
    if passes > 1 and (each := total // passes):
        number = min(passes, max(1, -(-done // each)))
        done, total = done - each * (number - 1), each
        place = f", reading {number} of {passes}"
    speed = data["per_second"]
    shown = f"{speed:.1f}" if speed < _FEW else f"{speed:,.0f}"
    return f"frame {done:,}/{total:,}{place}  {units.duration(data['eta_seconds'])} left  {shown} frames/s"


def progress_line(data: dict[str, Any], width: int) -> str:
    """How far a training is, the more important the further left; what does not fit into `width` is left out."""
    total = "" if data["total_steps"] is None else f"/{data['total_steps']:,}"
    speed, left, held_out = data["targets_per_second"], data["eta_seconds"], data["held_out_loss"]
    parts = [f"step {data['step']:,}{total}"]
    if left is not None:
        parts.append(f"{units.duration(left)} left")
    parts.append(f"loss {_figure(data['loss'])}")
    if held_out is not None:
        parts.append(f"held out {_figure(held_out)}")
    parts.append(f"epoch {data['epoch']:.2f}")
    if speed:
        parts.append(f"{units.rate(speed)} {data.get('unit', 'tok')}/s")
    if width >= _WIDE:
        parts.append(units.size(data["memory_bytes"]))
    while len(parts) > 1 and len("  ".join(parts)) > width:
        parts.pop()
    return "  ".join(parts)


def wrapped(text: str, width: int) -> list[str]:
    """Break each line of `text` between words; what follows hangs below it, and no path is cut."""
    found = []
    for line in text.splitlines() or [""]:
        indent = " " * (len(line) - len(line.lstrip()))
        found += textwrap.wrap(
            line, width, subsequent_indent=indent + "  ", break_long_words=False, break_on_hyphens=False
        ) or [""]
    return found


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"

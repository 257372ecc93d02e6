"""What the log of NVIDIA's cosmos-transfer1 tells, and what its end means."""

from __future__ import annotations

import re
from typing import Final

from treadle.video.transfer.backends.backend import Ended, Event, Outcome

_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")
_STAGES: Final = {
    "Initializing model": "loading",
    "Loading ctrl model": "loading",
    "running preprocessor": "preparing",
    "Running preprocessor": "preparing",
    "Running guardrail checks on all prompts": "checking the prompt",
    "Starting T5 compute": "reading the prompt",
    "Starting latent encoding": "encoding",
    "Starting diffusion sampling": "sampling",
    "Starting VAE decode": "decoding",
    "Run guardrail on generated videos": "checking the video",
}
_BATCH: Final = re.compile(r"Running batch generation with batch_size=(\d+)")
_UNSAFE: Final = re.compile(r"(Input text prompt|Generated video) (\d+) is not safe")
_SAVED: Final = re.compile(r"Saved video to (\S.*\.mp4)")
_NUMBERED: Final = re.compile(r"/video_(\d+)/[^/]+$")
_BAR: Final = re.compile(r"\d+%\|[^|]*\| *(\d+)/(\d+) \[[^\]]*\]")
_STEP: Final = re.compile(r"\bstep (\d+)/(\d+)\b")

_NO_MEMORY: Final = ("CUDA out of memory", "torch.OutOfMemoryError", "OutOfMemoryError: CUDA", "CUDNN_STATUS_ALLOC")
_GUARDRAIL: Final = ("Guardrail blocked generation", "failed safety checks", "is not safe")
_FULL: Final = ("No space left on device", "Disk quota exceeded")
_TRANSIENT: Final = (
    "NCCL error",
    "ncclSystemError",
    "ncclInternalError",
    "DistNetworkError",
    "EADDRINUSE",
    "Address already in use",
    "CUDA error: all CUDA-capable devices are busy or unavailable",
    "CUDA error: uncorrectable ECC error",
    "CUDA error: unspecified launch failure",
    "Connection reset by peer",
    "Temporary failure in name resolution",
    "Read timed out",
)
"""Marks of failures that have nothing to do with the request: the same may well succeed at the next attempt."""
_ERROR: Final = re.compile(r"^(?:\[rank\d+\]: ?)?((?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Interrupt)\b.*)")
_NOT_THE_CAUSE: Final = ("ChildFailedError", "ProcessExitedException")
"""What a launcher adds when the program that it started has failed."""
_SIGNALS: Final = {129, 130, 143, -1, -2, -15}
_KILLED: Final = {137, -9}
_KILLED_CHILD: Final = re.compile(r"exitcode\s*: -9\b|Signal 9 \(SIGKILL\)")


def event_of(line: str) -> Event | None:
    """What a line tells, if anything."""
    text = _COLOURS.sub("", line)
    if (found := _BAR.search(text)) is not None:
        return Event("clip", {"done": int(found[1]), "total": int(found[2])})
    if (found := _STEP.search(text)) is not None:
        return Event("step", {"step": int(found[1]), "total": int(found[2])})
    if (found := _BATCH.search(text)) is not None:
        return Event("batch", {"size": int(found[1])})
    if (found := _UNSAFE.search(text)) is not None:
        return Event("blocked", {"place": int(found[2]) - 1, "what": "prompt" if "prompt" in found[1] else "video"})
    if (found := _SAVED.search(text)) is not None:
        number = _NUMBERED.search(found[1])
        return Event("item", {"item": 0 if number is None else int(number[1])})
    for mark, stage in _STAGES.items():
        if mark in text:
            return Event("stage", {"stage": stage})
    return None


def outcome_of(ended: Ended) -> Outcome:
    """What the end of its command means: exit code, last lines, and which videos are there."""
    log = _COLOURS.sub("", ended.log_tail)
    if ended.code == 0 and not ended.missing:
        return Outcome("done")
    refused = tuple(sorted(set(ended.blocked) & set(ended.missing)))
    if not ended.blocked and ended.missing and any(mark in log for mark in _GUARDRAIL):
        refused = (ended.missing[0],)
    if refused:
        reason = "The target's guardrail refused the text, or the video it led to. Say it in other words."
        return Outcome("blocked", reason, refused=refused)
    if ended.code is None:
        return Outcome("unknown", "The command is gone and has left no exit code; the host may have been restarted.")
    if any(mark in log for mark in _NO_MEMORY):
        return Outcome("failed", "The GPU's memory was not enough.", out_of_memory=True)
    if any(mark in log for mark in _FULL):
        return Outcome("failed", "The host's disk is full. Free some there, then run the job again.")
    if any(mark in log for mark in _TRANSIENT):
        return Outcome("failed", f"Trouble on the host: {last_error(log)}", transient=True)
    if ended.code in _KILLED or _KILLED_CHILD.search(log) is not None:
        reason = "The command was killed; most often that is the host's memory (RAM) running out."
        return Outcome("failed", reason, out_of_memory=True)
    if ended.code in _SIGNALS:
        return Outcome("failed", f"Somebody on the host ended the command (status {ended.code}).", transient=True)
    if ended.code == 0:
        return Outcome("failed", "The command ended without an error, but also without a video.")
    return Outcome("failed", f"The command failed (status {ended.code}): {last_error(log)}")


def last_error(log: str) -> str:
    """The last line that names an exception, else the last line at all."""
    lines = [line.strip() for line in log.replace("\r", "\n").splitlines() if line.strip()]
    for line in reversed(lines):
        found = _ERROR.match(line)
        if found is not None and not any(name in found[1] for name in _NOT_THE_CAUSE):
            return found[1][:300]
    return lines[-1][:300] if lines else "its log is empty."

"""What this machine offers: the findings behind `treadle doctor`."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from pathlib import Path
from typing import Any

from treadle.base import units
from treadle.base.errors import TreadleError
from treadle.native.library import load
from treadle.telemetry import hardware

_ENOUGH_MEMORY = 1_000_000_000
_ENOUGH_DISK = 500_000_000
_EXTRAS = {
    "torch": (
        "torch",
        "Optional: rnn, image_classifier, video_flow; the reference for gpt. Install it: pip install 'treadle[torch]'",
    ),
    "tensorboard": (
        "tensorboardX",
        "Optional: TensorBoard. Install it with: pip install 'treadle[tensorboard]'",
    ),
    "pillow": ("PIL", "Optional: reads picture files. Install it with: pip install 'treadle[images]'"),
    "matplotlib": ("matplotlib", "Optional: draws curves. Install it with: pip install 'treadle[plots]'"),
    "pyav": ("av", "Optional: videos and transfers. Install it with: pip install 'treadle[video]'"),
    "opencv": ("cv2", "Optional: videos and transfers. Install it with: pip install 'treadle[video]'"),
    "asyncssh": ("asyncssh", "Optional: hosts under SSH. Install it with: pip install 'treadle[remote]'"),
    "onnxruntime": ("onnxruntime", "Optional: maps of depth and segments. Install it: pip install 'treadle[onnx]'"),
    "pypdf": ("pypdf", "Optional: reads PDF and more. Install it with: pip install 'treadle[documents]'"),
    "selectolax": ("selectolax", "Optional: crawls sites. Install it with: pip install 'treadle[crawl]'"),
}
_DISTRIBUTIONS = {"PIL": "pillow", "cv2": "opencv-python-headless"}
"""Packages that are installed under another name than they are imported by."""


def examine() -> list[dict[str, Any]]:
    """Look at everything once; each finding has `name`, `ok`, `needed`, `found`, `remedy`."""
    return [_processor(), _memory(), _disk(), _python(), _compiler(), _native(), *map(_extra, _EXTRAS)]


def _finding(name: str, found: str, remedy: str = "", *, ok: bool = True, needed: bool = True) -> dict[str, Any]:
    return {"name": name, "ok": ok, "needed": needed, "found": found, "remedy": "" if ok else remedy}


def _processor() -> dict[str, Any]:
    name, flags = hardware.processor()
    return _finding("processor", f"{name}, {hardware.usable_cores()} cores ({', '.join(flags) or 'no vector sets'})")


def _memory() -> dict[str, Any]:
    total, available = hardware.memory()
    remedy = "Close something: training the size `small` needs about 1 GB."
    found = f"{units.size(available)} free of {units.size(total)}"
    return _finding("memory", found, remedy, ok=available >= _ENOUGH_MEMORY)


def _disk() -> dict[str, Any]:
    free = hardware.free_disk(Path.cwd())
    remedy = "Free some space: checkpoints of the size `small` take 130 MB each."
    return _finding("disk", f"{units.size(free)} free here", remedy, ok=free >= _ENOUGH_DISK)


def _python() -> dict[str, Any]:
    return _finding("python", hardware.python_version())


def _compiler() -> dict[str, Any]:
    found = hardware.compiler()
    remedy = "Install a C++ compiler (Debian, Ubuntu: apt install g++), or set CXX to one."
    return _finding("compiler", found or "none", remedy, ok=found is not None, needed=False)


def _native() -> dict[str, Any]:
    try:
        library = load()
    except TreadleError as error:
        return _finding("native core", "not usable", str(error), ok=False)
    return _finding("native core", f"{library.instruction_set} variant, works")


def _extra(name: str) -> dict[str, Any]:
    package, remedy = _EXTRAS[name]
    if importlib.util.find_spec(package) is None:
        return _finding(name, "not installed", remedy, ok=False, needed=False)
    try:
        found = importlib.metadata.version(_DISTRIBUTIONS.get(package, package))
    except importlib.metadata.PackageNotFoundError:
        found = "here"  # built by another name, such as opencv-python
    return _finding(name, found, needed=False)

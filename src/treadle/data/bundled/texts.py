"""Find the texts and pictures that come with Treadle."""

from __future__ import annotations

from pathlib import Path

from treadle.base.errors import NotFoundError, UsageError
from treadle.base.names import did_you_mean


def bundled_names() -> list[str]:
    """The texts that there are."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.txt"))


def bundled_text(name: str) -> Path:
    """The file of a bundled text; raises `NotFoundError` with the known ones if there is none of that name."""
    names = bundled_names()
    if name not in names:
        raise NotFoundError(f"No bundled text `{name}`.{did_you_mean(name, names)} Known: {', '.join(names)}.")
    return Path(__file__).parent / f"{name}.txt"


BUNDLED = "bundled:"
"""What the name of something bundled begins with where a path is expected: `treadle feed NAME bundled:digits`."""
_DIGITS = ("digits-images-idx3-ubyte.gz", "digits-labels-idx1-ubyte.gz")


def bundled_files(name: str) -> list[Path]:
    """The files behind `bundled:NAME`; raises `NotFoundError` with the known names."""
    wanted = name.removeprefix(BUNDLED)
    if wanted == "digits":
        return [Path(__file__).parent / file for file in _DIGITS]
    if wanted.partition(":")[0] == "shapes":
        raise UsageError(f"`{name}` are clips of video; feed them to a model of the family video_flow.")
    names = ["digits", *bundled_names()]
    if wanted not in names:
        raise NotFoundError(
            f"Nothing bundled is called `{wanted}`.{did_you_mean(wanted, names)} Known: {', '.join(names)}."
        )
    return [bundled_text(wanted)]

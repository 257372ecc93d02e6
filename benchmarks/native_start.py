"""Our engine from a bare script, as llama.cpp is run by its own: from packed weights to the first token.

    python native_start.py cold FOLDER FORMAT      the first token, then the end

`FOLDER` is one of `generation.py`, where the engine has left its packed weights. What `treadle sample` takes, with a
workspace, settings and an engine process, is measured by `generation_start.py`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from treadle.generation.engine import PackedPlace, WantedText
from treadle.generation.native_engine import open_packed


@dataclass
class Greedy:
    """The settings of a draft, without pydantic's checks of them."""

    tokens: int = 1
    temperature: float = 0
    top_k: int = 0
    top_p: float = 1
    min_p: float = 0
    repetition_penalty: float = 1
    frequency_penalty: float = 0
    presence_penalty: float = 0


def place_of(folder: Path) -> PackedPlace:
    """Where the packed weights lie; folders are named by their size, which tells the weights and the network."""
    return PackedPlace(folder / "model.safetensors", folder.name, folder.name)


def main(folder: Path, precision: str) -> None:
    engine = open_packed(place_of(folder), precision)
    if engine is None:
        sys.exit(f"{folder} has no packed weights in {precision}; measure it first")
    settings: Any = Greedy()
    engine.begin(0, WantedText([1, 2, 3], settings, 1, 0, {}))
    print(engine.write(0)[0].tokens[0], flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[2]), sys.argv[3])

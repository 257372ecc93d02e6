"""Feed a text, train for a hundred steps, and read what the model writes."""

import tempfile
from pathlib import Path

from treadle import Workspace

TEXT = "\n".join(f"{n} bottles of beer on the wall, {n} bottles of beer." for n in range(99, 0, -1)) * 20

with tempfile.TemporaryDirectory() as folder:
    workspace = Workspace.create(Path(folder) / "lab")
    song = Path(folder) / "song.txt"
    song.write_text(TEXT)

    workspace.new("singer", ["data.sequence_length=64"], size="nano", tokenizer="char")
    fed = workspace.feed("singer", [song])
    print(f"read {fed['accepted']} document, {fed['bytes']:,} bytes")

    trained = workspace.train("singer", ["training.sample_every=0"], steps=100)
    print(f"held out: {trained['held_out']:.3f} nats per token after {trained['step']} steps")

    sample = workspace.sample("singer", prompt="42 bottles", tokens=60, temperature=0.5, seed=1)
    print(sample["prompt"] + sample["text"])

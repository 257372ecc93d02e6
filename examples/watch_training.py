"""Every run writes events. Follow them while it trains, and draw the loss as a line of blocks."""

import tempfile
from pathlib import Path

from treadle import Workspace
from treadle.data.bundled.texts import bundled_text

BLOCKS = "▁▂▃▄▅▆▇█"
losses = []


def watch(event):
    """Remember each loss that is told, and say when something is measured on held-out data."""
    if event.type == "progress":
        losses.append(event.data["loss"])
    elif event.type == "evaluation":
        print(f"step {event.data['step']:>4}: held out {event.data['held_out_loss']:.3f} nats per token")


with tempfile.TemporaryDirectory() as folder:
    workspace = Workspace.create(Path(folder) / "lab")
    workspace.new("names", ["data.sequence_length=32", "training.batch_size=32"], size="nano", tokenizer="char")
    workspace.feed("names", [bundled_text("names")])
    flags = ["training.sample_every=0", "training.evaluate_every=20"]
    workspace.train("names", flags, steps=80, on_event=watch)

    top, bottom = max(losses), min(losses)
    heights = [round((loss - bottom) / (top - bottom or 1) * (len(BLOCKS) - 1)) for loss in losses]
    print(f"{top:.2f} " + "".join(BLOCKS[height] for height in heights) + f" {bottom:.2f}")
    print(workspace.sample("names", tokens=60, seed=3)["text"].strip())

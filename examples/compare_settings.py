"""Two models, one text, one difference: which rate learns faster in the same number of steps?"""

import tempfile
from pathlib import Path

from treadle import Workspace
from treadle.data.bundled.texts import bundled_text

with tempfile.TemporaryDirectory() as folder:
    workspace = Workspace.create(Path(folder) / "lab")
    shape = ["family.layers=2", "family.width=64", "data.sequence_length=64", "training.batch_size=16"]
    losses = {}
    for name, rate in (("careful", 0.003), ("bold", 0.03)):
        workspace.new(name, [*shape, f"training.optimizer.matrix_learning_rate={rate}"], size="nano", tokenizer="char")
        workspace.feed(name, [bundled_text("shakespeare")])
        workspace.train(name, ["training.sample_every=0"], steps=100)
        losses[name] = workspace.evaluate(name)["loss"]
        print(f"{name:<8} rate {rate:<6} held out {losses[name]:.3f} nats per token")
    print(f"After 100 steps `{min(losses, key=losses.get)}` is ahead. One seed proves little: try more.")

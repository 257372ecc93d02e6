"""Three texts arrive one after the other: what does a standing model still know of the first when the third is there?

Two models learn the same arrivals, each token once. One reads nothing but what is new, the other fills half of each
batch with older text (`data.replay=0.5`). After each arrival both are measured on the held-out end of every text that
has come so far, and PICTURE, if one is named, shows it. Needs the extra `plots`.

    python continuous_feeding.py [PICTURE [KILOBYTES_OF_EACH_TEXT [SEED]]]
"""

import argparse as some_python
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt

from treadle import Workspace
from treadle.data.bundled.texts import bundled_text

KILOBYTES = int(sys.argv[2]) if len(sys.argv) > 2 else 10
SEED = int(sys.argv[3]) if len(sys.argv) > 3 else 1
TEXTS = {
    "plays": bundled_text("shakespeare"),
    "Python": Path(some_python.__file__),
    "names": bundled_text("names"),
}
SHAPE = ["family.layers=2", "family.width=64", "data.sequence_length=64", "training.batch_size=8"]


def learn(workspace, name, replay):
    """Feed the texts one after the other; gives, for each text, bits per byte after each arrival since its own."""
    settings = [f"data.replay={replay}", f"training.seed={SEED}", "training.sample_every=0"]
    workspace.new(name, [*SHAPE, *settings], size="nano", tokenizer="bytes", standing=True)
    curves = {}
    for arrivals, (text, path) in enumerate(TEXTS.items(), 1):
        part = workspace.root / f"{text}.txt"
        part.write_bytes(path.read_bytes()[: KILOBYTES * 1000])
        fed = workspace.feed(name, [part])
        workspace.jobs_follow(fed["job"])  # the training that the feed began
        parts = workspace.evaluate(name, checkpoint="latest", arrivals=True)["parts"]
        for known, measured in zip(TEXTS, parts, strict=False):
            curves.setdefault(known, []).append((arrivals, measured["bits_per_byte"]))
    return curves


def draw(found, path):
    """One panel for each share of older text, one line for each text."""
    figure, panels = plt.subplots(1, len(found), figsize=(9, 3.6), sharey=True, layout="constrained")
    for panel, (replay, curves) in zip(panels, found.items(), strict=True):
        for text, points in curves.items():
            (line,) = panel.plot(*zip(*points, strict=True), marker="o", label=text)
            panel.annotate(
                f"{points[-1][1]:.2f}", points[-1], (7, -3), textcoords="offset points", color=line.get_color()
            )
        panel.set_title(f"{replay:.0%} of each batch is older text", fontsize=10)
        panel.set_xticks(range(1, len(TEXTS) + 1), [f"after\n{text}" for text in TEXTS])
        panel.set_xlim(0.8, len(TEXTS) + 0.5)
        panel.grid(alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("held out, bits per byte")
    panels[0].legend(title="held-out end of", frameon=False, fontsize=9)
    figure.savefig(path, dpi=120)


with tempfile.TemporaryDirectory() as folder:
    lab = Workspace.create(Path(folder) / "lab")
    print(f"Three texts arrive one after the other: {', '.join(TEXTS)}.")
    results = {replay: learn(lab, f"replay-{replay:.0%}".rstrip("%"), replay) for replay in (0.0, 0.5)}
    for share, curves in results.items():
        forgotten = curves["plays"][-1][1] - curves["plays"][0][1]
        figures = ", ".join(f"{text} {points[-1][1]:.2f}" for text, points in curves.items())
        print(f"replay {share:.0%}: in the end {figures} bits per byte; the plays became {forgotten:+.2f} worse")
    draw(results, sys.argv[1] if len(sys.argv) > 1 else Path(folder) / "seen_by_nobody.png")

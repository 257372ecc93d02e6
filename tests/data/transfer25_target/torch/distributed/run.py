"""Starts the script once, as `torchrun` does with one process."""

import os
import sys

arguments = sys.argv[1:]
while arguments and arguments[0].startswith("--"):
    arguments.pop(0)
os.environ["RANK"] = "0"
os.execv(sys.executable, [sys.executable, "-S", *arguments])  # noqa: S606

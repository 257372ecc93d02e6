"""Plays the target's prompt upsampler: its flags, its print, its ways to fail.

Marks in a prompt: `[hang]` waits for ever, `[kill]` is killed, `[memory]` is out of memory, `[empty]` gets no text,
`[mute]` prints nothing, `[bare]` misses a library, `[crash]` fails.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CODE = Path(__file__).parents[4]


def extract_video_frames(path):
    data = Path(path).read_bytes()
    frames = [Path(tempfile.gettempdir()) / f"frame_{number}.png" for number in (1, 2)]
    for frame in frames if data else ():
        frame.write_bytes(data[:20])
    return [str(frame) for frame in frames] if data else []


def parse_args():
    parser = argparse.ArgumentParser()
    parser.add_argument("--prompt", type=str, required=False)
    parser.add_argument("--input_video", type=str, required=True)
    parser.add_argument("--checkpoint_dir", type=str, default="checkpoints")
    parser.add_argument("--offload_prompt_upsampler", action="store_true")
    return parser.parse_args()


def main():
    args = parse_args()
    with (CODE / "enhanced").open("a") as file:
        file.write(f"{args.prompt}\n")
    if "[hang]" in args.prompt:
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])  # a server of its library
        time.sleep(3600)
    if "[kill]" in args.prompt:
        os.kill(os.getpid(), signal.SIGKILL)
    if "[memory]" in args.prompt:
        raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB.")
    if "[bare]" in args.prompt:
        raise ModuleNotFoundError("No module named 'vllm'")
    if "[crash]" in args.prompt:
        raise ValueError("a bad checkpoint")
    frames = extract_video_frames(args.input_video)
    sys.stdout.write("INFO 01-01 00:00:00 llm_engine.py: loading\n")
    if "[mute]" in args.prompt:
        return
    seen = Path(frames[0]).read_bytes().decode()
    text = "" if "[empty]" in args.prompt else f"{args.prompt}, seen in {len(frames)} frames of {seen}.\n\nWarm light."
    print("Upsampled prompt:", text)

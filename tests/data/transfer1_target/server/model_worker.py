"""Plays a worker of the model server: takes requests as files in /tmp, and says by files how they went."""

import hashlib
import json
import os
import time
from pathlib import Path

CODE = Path(__file__).parents[1]
COMMANDS, STATUS = Path("/tmp/worker_0_commands.json"), Path("/tmp/worker_0_status.json")  # noqa: S108 - as the real one


def tell(status, result=""):
    with STATUS.open("w") as file:  # not at once: whoever reads it must bear half of it
        json.dump({"rank": 0, "status": status, "result": result}, file)


def infer(parameters):
    if "[crash]" in parameters["prompt"]:
        raise RuntimeError("torch.OutOfMemoryError: CUDA out of memory.")
    if "[hang]" in parameters["prompt"]:
        time.sleep(3600)
    for path in (parameters["input_video"], *(one["input_control"] for one in parameters["controlnet_specs"].values())):
        Path(path).stat()
    plain = {key: value for key, value in parameters.items() if key not in {"output_dir", "input_video"}}
    mark = hashlib.sha256(repr(sorted(plain)).encode()).hexdigest().encode()
    box = (len(mark) + 8).to_bytes(4, "big") + b"free" + mark
    out = Path(parameters["output_dir"]) / "output.mp4"
    out.write_bytes((CODE / "base.mp4").read_bytes() + box)
    print(f"2026-01-01 00:00:00 | INFO | server.fake:infer:1 - Saved video to {out}", flush=True)


print("Worker init 1/1", flush=True)
with (CODE / "loaded").open("a") as journal:
    journal.write(f"{os.environ['CHECKPOINT_DIR']}\n")
time.sleep(0.6)  # loading
tell("success", "Worker initialized successfully")
while True:
    while not COMMANDS.exists():
        time.sleep(0.02)
    command = json.loads(COMMANDS.read_text())
    COMMANDS.unlink()
    try:
        infer(command["params"])
        tell("success", "result_placeholder")
    except Exception as error:
        tell("error", str(error))

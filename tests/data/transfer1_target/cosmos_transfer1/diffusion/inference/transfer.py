"""Plays the program that is started for each launch: flags, files, log, results, failures.

Marks in a prompt: `[hang]` waits for ever, `[slow]` waits a moment at each step, `[flood]` writes 8 MB of errors,
`[bytes]` writes what is no UTF-8, `[crash]` fails at this item, `[unsafe]` is refused by the guardrail (and the batch
loop then fails as the real one does), `[silent]` is refused and ends with 0 and no video, `[memory>N]` is out of memory
with more than N at once, `[busy]` fails once because the GPU is busy.
"""

import argparse
import hashlib
import json
import re
import sys
import time
from pathlib import Path

HINTS = {"vis", "seg", "edge", "depth", "keypoint", "upscale", "hdmap", "lidar"}
CODE = Path(__file__).parents[3]


def log(level, said):
    print(f"2026-01-01 00:00:00 | {level:<8} | cosmos_transfer1.fake:main:1 - {said}", file=sys.stderr, flush=True)


def arguments():
    parser = argparse.ArgumentParser()
    for name, default in (
        ("prompt", "A scene."),
        ("negative_prompt", "The video captures a game playing."),
        ("input_video_path", ""),
        ("blur_strength", "medium"),
        ("canny_threshold", "medium"),
        ("checkpoint_dir", "checkpoints"),
        ("tokenizer_dir", "Cosmos-Tokenize1-CV8x8x8-720p"),
        ("video_save_name", "output"),
        ("video_save_folder", "outputs/"),
        ("batch_input_path", None),
        ("controlnet_specs", None),
    ):
        parser.add_argument(f"--{name}", default=default)
    for name, default in (("num_steps", 35), ("fps", 24), ("seed", 1), ("num_gpus", 1), ("batch_size", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--num_input_frames", type=int, default=1, choices=[1])
    parser.add_argument("--sigma_max", type=float, default=70.0)
    parser.add_argument("--guidance", type=float, default=5.0)
    for name in (
        "use_distilled",
        "upsample_prompt",
        "offload_diffusion_transformer",
        "offload_text_encoder_model",
        "offload_guardrail_models",
    ):
        parser.add_argument(f"--{name}", action="store_true")
    found = parser.parse_args()
    spec = json.loads(Path(found.controlnet_specs).read_text())
    controls = {key: value for key, value in spec.items() if isinstance(value, dict)}
    assert set(controls) <= HINTS, sorted(controls)
    for key, value in spec.items():
        if key not in controls and f"--{key}" not in sys.argv:
            setattr(found, key, value)
    return found, controls


def digest(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest() if path else None


def controls_of(controls, item):
    found = {key: dict(value) for key, value in controls.items()}
    for key, override in item.get("control_overrides", {}).items():
        found[key].update(override)
    for value in found.values():
        for key in ("input_control", "control_weight"):
            if isinstance(value.get(key), str) and not value[key].replace(".", "").isdigit():
                value[key] = digest(value[key])
    return found


def save(found, item, controls, place, folder, name):
    """A file that depends on all that decides the result; made together with others, on its place among them, too."""
    facts = {
        key: getattr(found, key)
        for key in ("negative_prompt", "num_steps", "guidance", "sigma_max", "fps", "seed", "use_distilled")
    }
    facts |= {"prompt": item["prompt"], "video": digest(item.get("visual_input")), "place": place}
    facts["controls"] = controls_of(controls, item)
    mark = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest().encode()
    folder.mkdir(parents=True, exist_ok=True)
    box = (len(mark) + 8).to_bytes(4, "big") + b"free" + mark
    (folder / f"{name}.mp4").write_bytes((CODE / "base.mp4").read_bytes() + box)
    log("INFO", f"Saved video to {folder / name}.mp4")


def trouble(texts):
    if any("[hang]" in text for text in texts):
        time.sleep(3600)
    if any("[flood]" in text for text in texts):
        for _ in range(8):
            sys.stderr.write(("w" * 1023 + "\n") * 1024)
    if any("[bytes]" in text for text in texts):
        sys.stderr.buffer.write(b"caf\xe9 \xff\xfe\n")
    if any("[crash]" in text for text in texts):
        raise ValueError("a bad input")
    for text in texts:
        limit = re.search(r"\[memory>(\d+)\]", text)
        if limit and len(texts) > int(limit[1]):
            raise RuntimeError("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 GiB.")
    once = CODE / "was-busy"
    if any("[busy]" in text for text in texts) and not once.exists():
        once.touch()
        raise RuntimeError("CUDA error: all CUDA-capable devices are busy or unavailable")


def main():
    found, controls = arguments()
    (CODE / "started").open("a").write(f"{' '.join(sys.argv[1:])}\n")
    log("INFO", "Initializing model")
    single = [{"prompt": found.prompt, "visual_input": found.input_video_path}]
    items = single
    if found.batch_input_path:
        items = [json.loads(line) for line in Path(found.batch_input_path).read_text().splitlines()]
    out = Path(found.video_save_folder)
    for begin in range(0, len(items), found.batch_size):
        batch = items[begin : begin + found.batch_size]
        log("INFO", f"Running batch generation with batch_size={len(batch)}")
        safe = [item for item in batch if "[unsafe]" not in item["prompt"] and "[silent]" not in item["prompt"]]
        for number, item in enumerate(batch, 1):
            if item not in safe:
                log("CRITICAL", f"Input text prompt {number} is not safe")
        if not safe:
            log("CRITICAL", "Guardrail blocked generation for entire batch.")
            if "[silent]" in batch[0]["prompt"]:
                return
            _videos, _ = None  # what the real one does
        for step in range(1, 4):
            if any("[slow]" in item["prompt"] for item in safe):
                time.sleep(0.3)
            sys.stderr.write(f"\r {step * 33}%|###       | {step}/3 [00:01<00:02,  1.01s/it]")
        sys.stderr.write("\n")
        trouble([item["prompt"] for item in safe])
        for place, item in enumerate(safe):
            name = f"video_{begin + place}" if found.batch_input_path else None
            at = place if len(batch) > 1 else 0
            save(found, item, controls, at, out / name if name else out, "output" if name else found.video_save_name)


if __name__ == "__main__":
    main()

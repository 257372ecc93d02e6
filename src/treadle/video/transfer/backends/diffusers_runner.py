"""Runs on the host: one call of the pipeline `Cosmos2_5_TransferPipeline` of the library diffusers, step by step.

Arguments: `call.json`, the folder for results, the model (a folder, or a name on Hugging Face). It tells of each step
by a line `@treadle {...}`, and draws now and then what the latents look like. Between clips it reads `adjust.json`
beside the call: a `guidance` in there holds from the next clip on.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

REVISIONS = {"edge": "edge", "depth": "depth", "seg": "seg", "vis": "blur"}
PREVIEWS = 6
"""How many pictures of the latents a clip gives."""
RESAMPLING = {"seg": 0, "edge": 2, "depth": 2, "vis": 4}
"""Pillow's numbers for nearest, bilinear, box: how the target itself scales a map of each kind."""
QUALITY = 9
"""Of the video, from 0 to 10; the library's own 5 shows blocks."""


def say(**event: Any) -> None:  # noqa: ANN401 - plain JSON
    """Tell something to whoever reads the log."""
    print(f"@treadle {json.dumps(event)}", flush=True)


def opened(model: str, control: str) -> Any:  # noqa: ANN401 - a pipeline
    """Load the pipeline: a folder holds all of it, on Hugging Face each control has a revision of its own."""
    import torch
    from diffusers import AutoModel, Cosmos2_5_TransferPipeline

    cuda = torch.cuda.is_available()
    dtype = torch.bfloat16 if cuda else torch.float32
    if (Path(model) / "model_index.json").is_file():
        pipe = Cosmos2_5_TransferPipeline.from_pretrained(model, torch_dtype=dtype)
    else:
        revision = f"diffusers/controlnet/general/{REVISIONS[control]}"
        controlnet = AutoModel.from_pretrained(model, revision=revision, torch_dtype=dtype)
        pipe = Cosmos2_5_TransferPipeline.from_pretrained(
            model, controlnet=controlnet, revision="diffusers/general", torch_dtype=dtype
        )
    return pipe.to("cuda" if cuda else "cpu")


class Watch:
    """What is told after each step, and what is changed between clips."""

    def __init__(self, folder: Path, outputs: Path, steps: int, *, guided: bool = True) -> None:
        """Tell of `steps` steps for each clip; pictures go below `outputs`."""
        self.folder, self.outputs, self.steps, self.guided = folder, outputs, steps, guided
        self.clip = 0

    def __call__(self, pipe: Any, step: int, _timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401
        """After a step."""
        say(type="step", step=step + 1, total=self.steps, clip=self.clip)
        if (step + 1) % max(1, self.steps // PREVIEWS) == 0:
            name = f"previews/clip_{self.clip:03d}_step_{step + 1:03d}.png"
            picture(tensors["latents"], self.outputs / name)
            say(type="preview", file=f"outputs/{name}", step=step + 1, clip=self.clip)
        if step + 1 == self.steps:
            self.clip += 1
            self.adjust(pipe)
        return tensors

    def adjust(self, pipe: Any) -> None:  # noqa: ANN401 - a pipeline
        """Take over what was changed while the clip was made."""
        try:
            wanted = json.loads((self.folder / "adjust.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return
        if isinstance(wanted, dict) and isinstance(wanted.get("guidance"), (int, float)):
            if wanted["guidance"] > 1 and not self.guided:  # the negative text was not even read
                print("guidance stays at what it is: this run began without any")
                return
            pipe._guidance_scale = float(wanted["guidance"])  # noqa: SLF001 - it can only be given before the call
            say(type="adjusted", clip=self.clip, guidance=wanted["guidance"])


def picture(latents: Any, path: Path) -> None:  # noqa: ANN401 - a tensor
    """Draw the middle frame of latents (B, C, T, H, W): three channels as colours, stretched to what they hold."""
    from PIL import Image

    frame = latents[0, :3, latents.shape[2] // 2].float().cpu().numpy()
    low, high = (bound(axis=(1, 2), keepdims=True) for bound in (frame.min, frame.max))
    pixels = ((frame - low) / (high - low + 1e-6) * 255).astype("uint8").transpose(1, 2, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).resize((pixels.shape[1] * 4, pixels.shape[0] * 4)).save(path)


def looks(pipe: Any) -> list[bool]:  # noqa: ANN401 - a pipeline
    """Note what the guardrail says of videos: of one that it refuses, the pipeline makes a black one without a word."""
    passed: list[bool] = []
    check = pipe.safety_checker.check_video_safety

    def checked(frames: Any) -> Any:  # noqa: ANN401 - an array of frames, or None
        found = check(frames)
        passed.append(found is not None)
        return found

    pipe.safety_checker.check_video_safety = checked
    return passed


def main(call_file: Path, outputs: Path, model: str) -> int:
    """Make the video."""
    import torch
    from diffusers.utils import export_to_video, load_video

    asked = json.loads(call_file.read_text(encoding="utf-8"))
    call = asked["call"]
    say(type="stage", stage="loading")
    pipe = opened(model, asked["control"])
    outputs.mkdir(parents=True, exist_ok=True)
    size, resampling = (call["width"], call["height"]), RESAMPLING[asked["control"]]
    call["controls"] = [frame.resize(size, resampling) for frame in load_video(call["controls"])]
    generator = torch.Generator(device="cpu").manual_seed(asked["seed"])
    watch = Watch(call_file.parent, outputs, call["num_inference_steps"], guided=call["guidance_scale"] > 1)
    passed = looks(pipe)
    say(type="stage", stage="sampling")
    try:
        video = pipe(**call, generator=generator, callback_on_step_end=watch).frames[0]
    except ValueError as error:
        if "Guardrail detected unsafe" not in str(error):
            raise
        say(type="blocked", item=0, what="prompt")
        return 1
    if not all(passed):
        say(type="blocked", item=0, what="video")
        return 1
    export_to_video(video, str(outputs / "output.part.mp4"), fps=asked["fps"], quality=QUALITY)
    (outputs / "output.part.mp4").replace(outputs / "output.mp4")
    say(type="item", item=0)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]))

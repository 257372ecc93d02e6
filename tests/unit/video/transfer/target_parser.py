"""Runs the parser, the validator and the reader of weights of a checkout of cosmos-transfer1, without its models.

    python target_parser.py CHECKOUT < requests.json > answers.json

Each request is a list of arguments; each answer has `settings`, `controls`, `batch` and `weights`, or `refused`.
What the checkout imports and is not installed here, or needs a GPU, is replaced by something that takes any call.
"""

import importlib.abc
import importlib.machinery
import io
import json
import sys
import types
from contextlib import redirect_stderr, redirect_stdout

REAL = (
    "cosmos_transfer1",
    "cosmos_transfer1.checkpoints",
    "cosmos_transfer1.diffusion",
    "cosmos_transfer1.diffusion.inference",
    "cosmos_transfer1.diffusion.inference.inference_utils",
    "cosmos_transfer1.diffusion.inference.transfer",
    "cosmos_transfer1.utils",
    "cosmos_transfer1.utils.io",
)
"""Of the checkout, only these are imported."""
MISSING = ("einops", "imageio", "matplotlib", "torchvision", "megatron", "transformer_engine", "loguru")
CLIP, HEIGHT, WIDTH = 121, 8, 10


class _Kind(type):
    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return _Kind(name, (Anything,), {})


class Anything(metaclass=_Kind):
    """A class, a function, a decorator, a value: whatever it is used as."""

    def __init__(self, *arguments, **named):
        pass

    def __call__(self, *arguments, **named):
        return self

    def __getattr__(self, name):
        return Anything()


class _Stand(types.ModuleType):
    __path__ = ()

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return _Kind(name, (Anything,), {})


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Stands in for everything that is not `REAL`."""

    def find_spec(self, name, path=None, target=None):
        ours = name.partition(".")[0] == "cosmos_transfer1" and name not in REAL
        if ours or name.partition(".")[0] in MISSING:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        return _Stand(spec.name)

    def exec_module(self, module):
        pass


def weights(torch, inference_utils, controls):
    """The weights that the target computes, frame by frame, at four corners of a small picture."""
    torch.Tensor.cuda = lambda tensor: tensor
    values = [control["control_weight"] for control in controls.values()]
    made = inference_utils.load_spatial_temporal_weights(values, 1, CLIP, HEIGHT, WIDTH, HEIGHT, WIDTH)
    if made.ndim == 1:
        return made.float().tolist()
    corners = made[:, 0, 0][:, :, [0, 0, -1, -1], [0, -1, 0, -1]]  # (controls, T, 4)
    return corners.float().tolist()


def answer(transfer, inference_utils, torch, arguments):
    sys.argv = ["transfer.py", *arguments]
    try:
        settings, controls = transfer.parse_arguments()
        controls = transfer.validate_controlnet_specs(settings, controls)
        found = {"settings": vars(settings), "controls": controls, "batch": None}
        if settings.batch_input_path:
            found["batch"] = transfer.read_prompts_from_file(settings.batch_input_path)
        else:
            found["weights"] = weights(torch, inference_utils, controls)
    except (Exception, SystemExit) as error:
        return {"refused": f"{type(error).__name__}: {error}"}
    return found


def main():
    sys.path.insert(0, sys.argv[1])
    sys.meta_path.insert(0, Finder())
    said = io.StringIO()
    requests = json.load(sys.stdin)
    with redirect_stdout(said), redirect_stderr(said):
        import torch
        from cosmos_transfer1.diffusion.inference import inference_utils, transfer

        answers = [answer(transfer, inference_utils, torch, arguments) for arguments in requests]
    json.dump(answers, sys.stdout, default=str)


if __name__ == "__main__":
    main()

"""The tools for videos are an extra; where it is not installed these files are not collected."""

import importlib.util
import sys
from pathlib import Path

if importlib.util.find_spec("av") is None or importlib.util.find_spec("cv2") is None:
    collect_ignore_glob = ["test_*.py"]
else:

    def _specification(name):
        return importlib.util.spec_from_file_location(name, Path(__file__).parent / f"{name}.py")

    found = _specification("clips")
    clips = importlib.util.module_from_spec(found)
    sys.modules["clips"] = clips
    found.loader.exec_module(clips)
    found = _specification("onnx_models")
    onnx_models = importlib.util.module_from_spec(found)
    sys.modules["onnx_models"] = onnx_models
    found.loader.exec_module(onnx_models)

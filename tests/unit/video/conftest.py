"""The tools for videos are an extra; where it is not installed these files are not collected."""

import importlib.util
import sys
from pathlib import Path

if importlib.util.find_spec("av") is None or importlib.util.find_spec("cv2") is None:
    collect_ignore_glob = ["test_*.py"]
else:
    found = importlib.util.spec_from_file_location("clips", Path(__file__).parent / "clips.py")
    clips = importlib.util.module_from_spec(found)
    sys.modules["clips"] = clips
    found.loader.exec_module(clips)

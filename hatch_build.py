"""Builds the native core into a wheel for this kind of machine, when `TREADLE_BUILD_NATIVE=1` asks for it.

Without it the wheel is pure Python and the core is compiled on first use, which takes some seconds and a compiler.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class NativeBuildHook(BuildHookInterface[Any]):
    """Adds one shared object per instruction set to the package."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's signature
        """Compile, and mark the wheel as one for this platform."""
        if os.environ.get("TREADLE_BUILD_NATIVE") != "1":
            return
        source = Path(self.root) / "src"
        sys.path.insert(0, str(source))
        from treadle.native.build import build_all

        folder = Path(self.root) / "build" / "native"
        folder.mkdir(parents=True, exist_ok=True)
        for library in build_all(folder):
            build_data["force_include"][str(library)] = f"treadle/native/{library.name}"
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"

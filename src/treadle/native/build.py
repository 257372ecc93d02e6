"""Builds the native core: at wheel time beside this file, else once on first use into the user's cache.

Nearly every start finds it built, so what only compiling needs is imported there: it would take a tenth of the time to
the first token.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from treadle.base.errors import ResourceError
from treadle.native import instruction_sets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from treadle.native.instruction_sets import InstructionSet

SOURCES = Path(__file__).parent / "source"

# Contraction off and no fast-math: a sum must not depend on how the compiler felt about its neighbours.
FLAGS = (
    "-O3",
    "-std=c++17",
    "-fPIC",
    "-pthread",
    "-fno-math-errno",
    "-ffp-contract=off",
    "-fno-strict-aliasing",
    "-fvisibility=hidden",
    "-fvisibility-inlines-hidden",
)

# Few translation units of about equal cost, compiled side by side: reading the compiler's vector headers once for each
# source would take longer than compiling them all. Network is defined in two files, which need a unit each.
UNITS = (
    ("forward.cpp", "attention_forward.cpp", "attention_backward.cpp", "heads.cpp", "norms.cpp", "packing.cpp",
     "kernels.cpp"),
    ("backward.cpp", "muon.cpp", "adamw.cpp", "loss.cpp", "workspace.cpp", "parameters.cpp", "trainer.cpp",
     "trial.cpp", "interface.cpp", "interface_checks.cpp", "arena.cpp", "thread_team.cpp"),
    ("engine.cpp", "engine_attention.cpp", "engine_int8.cpp", "engine_int4.cpp", "engine_format.cpp",
     "engine_weights.cpp", "engine_crew.cpp", "engine_sampler.cpp", "engine_writer.cpp", "engine_interface.cpp"),
)  # fmt: skip

# This one runs before the processor is known to be the right one, so it is compiled for any.
NEUTRAL_UNIT = ("machine.cpp",)

_COMPILERS = ("g++", "clang++", "c++")
_BUILDS_TO_KEEP = 8


class BuildError(ResourceError):
    """The native core could not be built; the message names the remedy."""


def library_path(instruction_set: InstructionSet) -> Path:
    """Path of the shared object for `instruction_set`, built if there is none yet.

    A library shipped with the package is preferred. Raises `BuildError` without a working compiler.
    """
    found = existing_library(instruction_set)
    if found is not None:
        return found
    compiler = find_compiler()
    target = _cached(instruction_set, compiler)
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # Another process may be building the same: wait for it, then look again.
        if not target.exists():
            build(instruction_set, target, compiler)
            _forget_old_builds(target.parent)
    return target


def existing_library(instruction_set: InstructionSet) -> Path | None:
    """Path of the shared object if it need not be built: shipped with the package, or in the cache."""
    shipped = Path(__file__).parent / library_name(instruction_set)
    if shipped.exists():
        return shipped
    try:
        cached = _cached(instruction_set, find_compiler())
    except BuildError:
        return None
    return cached if cached.exists() else None


def library_name(instruction_set: InstructionSet) -> str:
    """File name of the shared object."""
    return f"libtreadle-{instruction_set.name}.so"


def build(
    instruction_set: InstructionSet, target: Path, compiler: str | None = None, extra_flags: Sequence[str] = ()
) -> None:
    """Compile all sources for one instruction set and put the library in place in one step.

    `extra_flags` serve sanitizer builds. Raises `BuildError` with the compiler's own words.
    """
    import tempfile
    from concurrent.futures import ThreadPoolExecutor

    compiler = compiler or find_compiler()
    base = [compiler, *FLAGS, *extra_flags, f"-D{instruction_set.macro}"]
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="build-") as folder:

        def compile_unit(sources: Sequence[str]) -> str:
            unit = Path(folder) / f"unit-{sources[0]}"
            unit.write_text("".join(f'#include "{SOURCES / name}"\n' for name in sources), encoding="utf-8")
            result = unit.with_suffix(".o")
            flags = () if sources == NEUTRAL_UNIT else instruction_set.flags
            _run([*base, *flags, "-c", str(unit), "-o", str(result)], f"compiling {', '.join(sources)}")
            return str(result)

        with ThreadPoolExecutor(len(UNITS)) as pool:
            objects = list(pool.map(compile_unit, (*UNITS, NEUTRAL_UNIT)))
        library = Path(folder) / target.name
        _run([*base, "-shared", *objects, "-o", str(library)], "linking")
        with library.open("rb") as file:
            os.fsync(file.fileno())  # After a power cut there is either the whole library or none.
        library.replace(target)


def build_all(folder: Path) -> list[Path]:
    """Build every variant that this architecture can have into `folder`: what a wheel ships.

    What the cache holds was made from the same sources by the same compiler, so it is not compiled again.
    """
    features = instruction_sets.supported()
    variants = instruction_sets.ALL if len(features) > 1 else (instruction_sets.PLAIN,)
    return [Path(shutil.copy(library_path(variant), folder / library_name(variant))) for variant in variants]


def find_compiler() -> str:
    """The C++ compiler: `CXX` if set, else the first of g++, clang++, c++ on the path.

    Raises `BuildError` naming how to install one.
    """
    wanted = os.environ.get("CXX")
    for name in (wanted,) if wanted else _COMPILERS:
        found = shutil.which(name)
        if found:
            return found
    missing = f"CXX={wanted} is not on the path" if wanted else f"none of {', '.join(_COMPILERS)} is on the path"
    raise BuildError(
        f"the native core must be compiled once and there is no C++ compiler: {missing}. "
        "Install one (Debian, Ubuntu: apt install g++; Fedora: dnf install gcc-c++; macOS: xcode-select --install), "
        "or install a wheel that ships the library, or use the torch learner: pip install 'treadle[torch]'."
    )


def cache_folder() -> Path:
    """Where first-use builds are kept: under XDG_CACHE_HOME, else ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "treadle" / "native"


def _cached(instruction_set: InstructionSet, compiler: str) -> Path:
    folder = cache_folder() / _fingerprint(compiler, FLAGS + instruction_set.flags)
    return folder / library_name(instruction_set)


def _forget_old_builds(newest: Path) -> None:
    """Keep the cache from growing with every upgrade; a library that is in use stays usable when its file goes."""
    folders = sorted(newest.parent.iterdir(), key=lambda folder: folder.stat().st_mtime, reverse=True)
    for folder in folders[_BUILDS_TO_KEEP:]:
        if folder != newest:
            shutil.rmtree(folder, ignore_errors=True)


def _fingerprint(compiler: str, flags: Sequence[str]) -> str:
    """Hash of everything that the result depends on."""
    digest = hashlib.sha256()
    digest.update(_compiler_version(compiler).encode())
    digest.update(" ".join((sys.platform, compiler, *flags, *(name for unit in UNITS for name in unit))).encode())
    digest.update(_sources())
    return digest.hexdigest()[:24]


@cache  # a run asks for the library some ten times
def _sources() -> bytes:
    """All sources, one after the other."""
    paths = sorted(path for path in SOURCES.iterdir() if path.suffix in {".h", ".cpp"})
    return b"".join(path.name.encode() + b"\0" + path.read_bytes() + b"\0" for path in paths)


def _compiler_version(compiler: str) -> str:
    # Asking the compiler takes tens of milliseconds at every start; its file's identity says as much.
    status = Path(compiler).resolve().stat()
    return f"{Path(compiler).resolve()} {status.st_size} {status.st_mtime_ns}"


def _run(command: list[str], doing: str) -> None:
    import subprocess

    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise BuildError(f"the native core could not be built ({doing}): {command[0]} does not run: {error}") from error
    if result.returncode == 0:
        return
    words = "\n".join(result.stderr.strip().splitlines()[:20]) or f"exit code {result.returncode}"
    raise BuildError(
        f"building the native core failed while {doing}.\n{words}\n"
        f"The command was: {' '.join(command)}\n"
        "A compiler with C++17 is needed (g++ 11 or clang++ 14 and newer); choose another with CXX=..., "
        f"or a smaller instruction set with {instruction_sets.VARIABLE}=avx2 or plain."
    )

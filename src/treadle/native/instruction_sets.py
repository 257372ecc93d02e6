"""Which variant of the native core this machine runs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from treadle.base.errors import ResourceError, SettingsError

VARIABLE = "TREADLE_NATIVE_ISA"
"""Environment variable that forces a variant."""

_X86 = frozenset({"x86_64", "AMD64", "amd64"})


@dataclass(frozen=True, slots=True)
class InstructionSet:
    """One variant of the core: the same sources, compiled for one family of processors."""

    name: str
    macro: str
    """Preprocessor name that selects the vector header."""
    flags: tuple[str, ...]
    """Compiler flags, on x86-64 only."""
    features: frozenset[str]
    """What the processor must have, in the words of /proc/cpuinfo."""
    bfloat16: bool
    """Has products of bfloat16. Whether they are faster than those of float32 only a trial tells."""


AVX512 = InstructionSet(
    "avx512",
    "TREADLE_AVX512",
    ("-march=x86-64-v4", "-mavx512bf16", "-mavx512vnni"),
    frozenset({"avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512cd", "avx512_bf16", "avx512_vnni"}),
    bfloat16=True,
)
AVX2 = InstructionSet(
    "avx2", "TREADLE_AVX2", ("-march=x86-64-v3",), frozenset({"avx2", "fma", "bmi2", "f16c", "movbe"}), bfloat16=False
)
PLAIN = InstructionSet("plain", "TREADLE_PLAIN", (), frozenset(), bfloat16=False)
ALL = (AVX512, AVX2, PLAIN)


def choose(features: frozenset[str] | None = None) -> InstructionSet:
    """The variant to use: the one forced by `TREADLE_NATIVE_ISA`, else the best that the processor runs.

    `features` are the processor's words; None = those of this machine. Raises `SettingsError` for an unknown name and
    `ResourceError` for a variant that the processor cannot run.
    """
    forced = os.environ.get(VARIABLE)
    if not forced:
        return supported(features)[0]
    chosen = next((one for one in ALL if one.name == forced), None)
    names = ", ".join(one.name for one in ALL)
    if chosen is None:
        raise SettingsError(f"{VARIABLE}={forced} names no instruction set; known are {names}")
    if chosen not in supported(features):
        here = _features() if features is None else features
        missing = ", ".join(sorted(chosen.features - here)) or "another architecture"
        possible = ", ".join(one.name for one in supported(features))
        raise ResourceError(
            f"{VARIABLE}={forced} needs what this processor lacks ({missing}); possible here: {possible}. "
            f"Unset {VARIABLE} to choose the best by itself."
        )
    return chosen


def supported(features: frozenset[str] | None = None) -> tuple[InstructionSet, ...]:
    """All variants that a processor with these words runs, best first; None = this machine's."""
    here = _features() if features is None else features
    return tuple(one for one in ALL if one.features <= here)


@cache
def _features() -> frozenset[str]:
    """Feature words of this processor; empty where they cannot be read, which leaves the plain variant."""
    if os.uname().machine not in _X86:
        return frozenset()
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return frozenset()
    for line in text.splitlines():
        name, _, words = line.partition(":")
        if name.strip() == "flags":
            return frozenset(words.split())
    return frozenset()

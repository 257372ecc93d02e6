"""Trainer and engine under the compilers' sanitizers: no access beyond arrays, no undefined behaviour, no race."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from treadle.native import build, instruction_sets

HERE = Path(__file__).parent
TRAINER, ENGINE = "trainer_exercise.cpp", "engine_exercise.cpp"
BEST, PLAIN = instruction_sets.supported()[0], instruction_sets.PLAIN
MEMORY = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
RACES = ("-fsanitize=thread",)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("instruction_set", "flags", "programs"),
    [(BEST, MEMORY, (TRAINER, ENGINE)), (PLAIN, MEMORY, (ENGINE,)), (BEST, RACES, (TRAINER, ENGINE))],
    ids=["best-memory", "plain-memory", "best-races"],
)
def test_sanitizers_find_nothing(
    tmp_path: Path, instruction_set: instruction_sets.InstructionSet, flags: tuple[str, ...], programs: tuple[str, ...]
) -> None:
    compiler = build.find_compiler()
    probe = tmp_path / "probe.cpp"
    probe.write_text("int main() { return 0; }\n", encoding="utf-8")
    if subprocess.run([compiler, *flags, str(probe), "-o", str(tmp_path / "probe")], capture_output=True).returncode:
        pytest.skip(f"{compiler} has no sanitizer runtime for {flags[0]}")
    library = tmp_path / build.library_name(instruction_set)
    build.build(instruction_set, library, compiler, ["-O1", "-g1", *flags])
    for source in programs:
        program = (tmp_path / source).with_suffix("")
        linked = [compiler, "-std=c++17", *flags, f"-I{build.SOURCES}", str(HERE / source), str(library)]
        subprocess.run([*linked, "-o", str(program)], check=True)
        environment = {**os.environ, "TSAN_OPTIONS": "halt_on_error=1"}
        result = subprocess.run([str(program)], env=environment, capture_output=True, text=True)
        assert result.returncode == 0, f"{source}: {result.stderr[-3000:]}"

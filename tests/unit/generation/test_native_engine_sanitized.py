"""The engine under the compilers' sanitizers: no access beyond its arrays, no undefined behaviour, no race."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from treadle.native import build, instruction_sets

EXERCISE = Path(__file__).parent / "engine_exercise.cpp"
MEMORY = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
RACES = ("-fsanitize=thread",)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("instruction_set", "flags"),
    [(instruction_sets.supported()[0], MEMORY), (instruction_sets.PLAIN, MEMORY), (instruction_sets.PLAIN, RACES)],
    ids=["best-memory", "plain-memory", "plain-races"],
)
def test_sanitizers_find_nothing_in_the_engine(
    tmp_path: Path, instruction_set: instruction_sets.InstructionSet, flags: tuple[str, ...]
) -> None:
    compiler = build.find_compiler()
    probe = tmp_path / "probe.cpp"
    probe.write_text("int main() { return 0; }\n", encoding="utf-8")
    if subprocess.run([compiler, *flags, str(probe), "-o", str(tmp_path / "probe")], capture_output=True).returncode:
        pytest.skip(f"{compiler} has no sanitizer runtime for {flags[0]}")
    library, program = tmp_path / build.library_name(instruction_set), tmp_path / "exercise"
    build.build(instruction_set, library, compiler, ["-O1", "-g1", *flags])
    command = [compiler, "-std=c++17", *flags, f"-I{build.SOURCES}", str(EXERCISE), str(library), "-o", str(program)]
    subprocess.run(command, check=True)
    environment = {**os.environ, "TSAN_OPTIONS": "halt_on_error=1"}
    result = subprocess.run([str(program)], env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from treadle.base.errors import ResourceError, SettingsError
from treadle.native import build, instruction_sets
from treadle.native.build import BuildError
from treadle.native.library import Library

BEST = instruction_sets.supported()[0]


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "treadle" / "native"


def tool(folder: Path, name: str, script: str) -> str:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def test_every_source_is_built_and_of_readable_size():
    listed = [name for unit in (*build.UNITS, build.NEUTRAL_UNIT) for name in unit]
    assert sorted(listed) == sorted(path.name for path in build.SOURCES.glob("*.cpp"))
    for path in build.SOURCES.iterdir():
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 600, path.name


def test_without_a_compiler_the_remedy_is_named(empty_cache, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(BuildError, match=r"no C\+\+ compiler.*apt install g\+\+.*treadle\[torch\]"):
        build.library_path(BEST)
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(BuildError, match="CXX=no-such-compiler is not on the path"):
        build.library_path(BEST)


def test_a_failing_compiler_is_quoted_and_leaves_nothing_behind(empty_cache, monkeypatch, tmp_path):
    monkeypatch.setenv("CXX", tool(tmp_path, "old-compiler", "echo 'error: unknown flag' >&2; exit 1"))
    with pytest.raises(BuildError, match=r"(?s)while compiling .*unknown flag.*CXX=.*TREADLE_NATIVE_ISA"):
        build.library_path(BEST)
    assert [path.name for path in empty_cache.rglob("*") if path.is_file()] == ["lock"]


def test_two_processes_build_once_and_the_second_finds_it(empty_cache, tmp_path):
    log = tmp_path / "log"
    compiler = tool(tmp_path, "logged", f'echo "$@" | grep -q -- -shared && echo link >> {log}\nexec g++ "$@" -O0')
    command = [sys.executable, "-c", "from treadle.native import build as b, instruction_sets as i; "]
    command[2] += "print(b.library_path(i.PLAIN))"
    environment = {**os.environ, "CXX": compiler}
    runs = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    paths = [run.communicate()[0].strip() for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert paths[0] == paths[1]
    assert log.read_text(encoding="utf-8") == "link\n"
    assert Library(Path(paths[0])).instruction_set == "plain"
    start = time.perf_counter()
    assert subprocess.run(command, env=environment, capture_output=True, text=True).stdout.strip() == paths[0]
    assert time.perf_counter() - start < 3.0
    assert log.read_text(encoding="utf-8") == "link\n"


def test_a_library_shipped_with_the_package_is_preferred(empty_cache, monkeypatch, tmp_path):
    package = tmp_path / "package"
    package.mkdir()
    shutil.copy(build.__file__, package / "build.py")
    shipped = package / build.library_name(BEST)
    shipped.touch()
    monkeypatch.setattr(build, "__file__", str(package / "build.py"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert build.library_path(BEST) == shipped


def test_the_instruction_set_can_be_forced(monkeypatch):
    for one in instruction_sets.supported():
        monkeypatch.setenv(instruction_sets.VARIABLE, one.name)
        assert instruction_sets.choose() is one
        assert Library(build.library_path(one)).instruction_set == one.name
    monkeypatch.delenv(instruction_sets.VARIABLE)
    assert instruction_sets.choose() is BEST


def test_unknown_and_unsupported_instruction_sets_are_refused(monkeypatch):
    monkeypatch.setenv(instruction_sets.VARIABLE, "avx1024")
    with pytest.raises(SettingsError, match="avx1024 names no instruction set; known are avx512, avx2, plain"):
        instruction_sets.choose()
    monkeypatch.setenv(instruction_sets.VARIABLE, "avx2")
    with pytest.raises(ResourceError, match=r"lacks \(avx2, .*\); possible here: plain"):
        instruction_sets.choose(frozenset({"sse2"}))


@pytest.mark.skipif(shutil.which("objdump") is None, reason="needs objdump (binutils)")
@pytest.mark.skipif(instruction_sets.AVX512 not in instruction_sets.supported(), reason="needs AVX-512 BF16")
@pytest.mark.parametrize(("precision", "instruction"), [("Bfloat16", "vdpbf16ps"), ("Float32", "vfmadd231ps")])
def test_no_loop_of_the_kernels_touches_the_stack(precision, instruction):
    """One spilled register once cost 10-13 % of the whole step."""
    library = build.library_path(instruction_sets.AVX512)
    text = subprocess.run(["objdump", "-d", "--no-show-raw-insn", library], capture_output=True, text=True).stdout
    headers = [(part.split("\n", 1)[0], part) for part in text.split("\n\n")]
    kernels = [part for header, part in headers if "multiply_tile" in header and precision in header]
    loops = [loop for kernel in kernels for loop in inner_loops(kernel) if instruction in loop]
    assert {loop.count(instruction) for loop in loops} == {4, 8, 12, 16, 20, 24}
    assert not [loop for loop in loops if re.search(r"\(%r[sb]p", loop)]


def inner_loops(function: str) -> list[str]:
    """The instructions between each backward jump and its target, where no other jump lies between."""
    lines = [line for line in function.splitlines()[1:] if ":\t" in line]
    addresses = {int(line.split(":")[0], 16): index for index, line in enumerate(lines)}
    result = []
    for index, line in enumerate(lines):
        jump = re.search(r"\tj[a-z]+ +([0-9a-f]+) ", line)
        start = addresses.get(int(jump.group(1), 16)) if jump else None
        if start is not None and start < index and not any("\tj" in other for other in lines[start:index]):
            result.append("\n".join(lines[start:index]))
    return result

"""What this machine is: processor, cores, memory, disk, compiler. Read from the kernel, without dependencies."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

_WANTED_FLAGS = ("avx2", "fma", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16")


def processor() -> tuple[str, list[str]]:
    """The processor's name and those of its instruction sets that matter here."""
    name, flags = "unknown processor", set[str]()
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                name = value.strip()
            elif key.strip() == "flags":
                flags = set(value.split())
                break
    except OSError:
        pass
    return name, [flag for flag in _WANTED_FLAGS if flag in flags]


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory() -> tuple[int, int]:
    """Total and available memory, in bytes (0, 0 where the kernel does not say)."""
    facts = {}
    try:
        for line in Path("/proc/meminfo").read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            facts[key] = int(value.split()[0]) * 1024
    except (OSError, ValueError, IndexError):
        return 0, 0
    return facts.get("MemTotal", 0), facts.get("MemAvailable", 0)


def resident_memory() -> int:
    """Resident memory of this process, in bytes (0 where the kernel does not say)."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def peak_memory() -> int:
    """Largest resident memory of this process so far, in bytes (0 where the kernel does not say)."""
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return 0


def free_disk(folder: Path) -> int:
    """Free bytes on the disk of `folder`."""
    return shutil.disk_usage(folder).free


def compiler() -> str | None:
    """Path of the C++ compiler that the native core would be built with."""
    wanted = os.environ.get("CXX")
    return next((found for name in (wanted, "g++", "clang++", "c++") if name and (found := shutil.which(name))), None)


def python_version() -> str:
    """Version of the running Python."""
    return ".".join(str(part) for part in sys.version_info[:3])

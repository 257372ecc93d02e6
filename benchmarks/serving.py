"""Streams over HTTP: our server beside llama.cpp's in three forms, the same model and requests, one after the other.

    python benchmarks/serving.py --folder PATH --prepare [--sizes 1M,10M]
    python benchmarks/serving.py --folder PATH [--sizes 1M,10M] [--streams 1,8,32] [--seconds 6]
        [--llama-server PATH] [--xllamacpp-python PATH] [--llama-python PATH] [--out FILE]

`--prepare` makes the models (a workspace in `--folder`, some steps of training so that texts are no accident of the
beginning, and a GGUF export in q8_0 of each), so that the second call only measures. Peers: `--llama-server` is
llama.cpp's own server, built natively, `--xllamacpp-python` a Python with the wheel xllamacpp, which has that server
inside, `--llama-python` one with llama-cpp-python, built natively, with what its server needs. Every client streams a
text of 128 tokens after a prompt of its own of about 64, and then the next one, until the time is over; the first round
of each is not counted. Ends of documents are forbidden, so that all texts are equally long. Tokens are those that the
servers count in `usage`, or the events where one does not. `first` is the time from a request to the first event that
has text. `server` and `clients` are the processors that each side kept busy, `threads` those of the server's busiest
threads.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from treadle import Workspace
from treadle.data.bundled.texts import bundled_text

SHAPES = {
    "1M": ("family.layers=4", "family.width=128", "family.heads=4"),
    "10M": ("family.layers=6", "family.width=384", "family.heads=6"),
}
PEERS = ("treadle", "llama-server", "xllamacpp", "llama-cpp-python")
CONTEXT = 256
SLOTS = 32
IN_PYTHON = """
import sys, time
import xllamacpp
chosen = xllamacpp.CommonParams()
chosen.model.path, chosen.hostnames, chosen.port = sys.argv[1], ["127.0.0.1"], int(sys.argv[2])
chosen.n_ctx, chosen.n_parallel = int(sys.argv[3]), int(sys.argv[4])
chosen.cpuparams.n_threads = chosen.cpuparams_batch.n_threads = int(sys.argv[5])
server = xllamacpp.Server(chosen)
while True:
    time.sleep(60)
"""
TOKENS = 128
PROMPT_CHARACTERS = 150
PATIENCE = 90.0


@dataclass
class Figures:
    """What the clients of one level saw."""

    tokens: int = 0
    texts: int = 0
    first: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)
    """Processors kept busy by the clients, the server, and each of its threads."""
    events: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--prepare", action="store_true")
    parser.add_argument("--sizes", default="1M,10M")
    parser.add_argument("--streams", default="1,8,32")
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--llama-server")
    parser.add_argument("--xllamacpp-python")
    parser.add_argument("--llama-python")
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    sizes = chosen.sizes.split(",")
    if chosen.prepare:
        prepare(chosen.folder, sizes)
        return
    results = described()
    for size in sizes:
        rows = results["sizes"].setdefault(size, {})
        for peer in PEERS:
            if program(peer, chosen):
                rows[peer] = measure(peer, size, chosen)
                show(size, peer, rows)
                if chosen.out:
                    chosen.out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def prepare(folder: Path, sizes: list[str]) -> None:
    workspace = Workspace.create(folder / "lab")
    for size in sizes:
        overrides = [*SHAPES[size], f"data.sequence_length={CONTEXT}", "training.sample_every=0"]
        workspace.new(size, overrides, tokenizer="bpe:1024")
        workspace.feed(size, [bundled_text("shakespeare")])
        workspace.train(size, steps=60)
        workspace.export(size, to="gguf", out=folder / f"{size}-gguf", precision="q8_0")


def described() -> dict[str, Any]:
    git = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return {
        "command": " ".join(["python", "benchmarks/serving.py", *sys.argv[1:]]),
        "date": time.strftime("%Y-%m-%d"),
        "commit": git.stdout.strip(),
        "machine": processor(),
        "cores": os.cpu_count(),
        "tokens": TOKENS,
        "sizes": {},
    }


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def measure(peer: str, size: str, chosen: argparse.Namespace) -> dict[str, Any]:
    """All levels on one server, which is started and ended here."""
    port = free_port()
    process = subprocess.Popen(
        command(peer, size, port, chosen),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TREADLE_ENGINE_IDLE_SECONDS": "1"},
    )
    found: dict[str, Any] = {}
    try:
        wait_for(port, process)
        name, ban = about(port, peer, chosen.folder, size)
        for streams in chosen.streams.split(","):
            figures, body = Figures(), {"model": name, "logit_bias": ban, **asked_of(peer)}
            took = asyncio.run(level(port, int(streams), chosen.seconds, body, figures, process.pid))
            found[streams] = summary(figures, took)
            print(f"{size} {peer:<17} {streams:>3} streams: {json.dumps(found[streams])}", flush=True)
    finally:
        process.terminate()
        process.wait(30)
    return found


def program(peer: str, chosen: argparse.Namespace) -> str | None:
    """What runs a peer; None for one that was not given."""
    found: dict[str, str | None] = {
        "treadle": sys.executable,
        "llama-server": chosen.llama_server,
        "xllamacpp": chosen.xllamacpp_python,
        "llama-cpp-python": chosen.llama_python,
    }
    return found[peer]


def asked_of(peer: str) -> dict[str, Any]:
    """What only some understand: exact counts, and texts that go on after the end of a document."""
    counts = {} if peer == "llama-cpp-python" else {"stream_options": {"include_usage": True}}
    return counts | ({"ignore_eos": True} if peer in {"llama-server", "xllamacpp"} else {})


def command(peer: str, size: str, port: int, chosen: argparse.Namespace) -> list[str]:
    if peer == "treadle":
        serve = [sys.executable, "-m", "treadle", "serve", size, "--port", str(port), "--slots", str(SLOTS)]
        return [*serve, "--workspace", str(chosen.folder / "lab")]
    (gguf,) = (chosen.folder / f"{size}-gguf").glob("*.gguf")
    whole, cores = str(CONTEXT * SLOTS), str(os.cpu_count())
    if peer == "llama-server":
        place = ["-m", str(gguf), "--host", "127.0.0.1", "--port", str(port)]
        return [chosen.llama_server, *place, "-c", whole, "-np", str(SLOTS), "-t", cores, "-tb", cores]
    if peer == "xllamacpp":
        return [chosen.xllamacpp_python, "-c", IN_PYTHON, str(gguf), str(port), whole, str(SLOTS), cores]
    return [
        chosen.llama_python,
        *("-m", "llama_cpp.server", "--model", str(gguf), "--port", str(port), "--n_ctx", str(CONTEXT)),
        *("--n_threads", str(os.cpu_count()), "--interrupt_requests", "False", "--verbose", "False"),
    ]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    sys.exit("a server did not start")


def about(port: int, peer: str, folder: Path, size: str) -> tuple[str, dict[str, float]]:
    """The model's name there, and the bias that forbids the end of a document."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=5) as answer:
        name = size if peer == "treadle" else str(json.load(answer)["data"][0]["id"])
    (checkpoint,) = list((folder / "lab" / "models" / size / "checkpoints").glob("step-*/checkpoint.json"))[-1:]
    document = json.loads(checkpoint.read_text(encoding="utf-8"))
    return name, {str(document["vocabulary"] - 1): -100.0}


def busy(server: int) -> list[float]:
    """Processor seconds so far of this process, the server, and each of its threads."""
    threads = [path.read_text(encoding="utf-8") for path in Path(f"/proc/{server}/task").glob("*/stat")]
    ticks = [sum(map(int, line.rpartition(")")[2].split()[11:13])) for line in sorted(threads)]
    seconds = [one / os.sysconf("SC_CLK_TCK") for one in ticks]
    return [time.process_time(), sum(seconds), *seconds]


async def level(port: int, streams: int, seconds: float, body: dict[str, Any], figures: Figures, server: int) -> float:
    """So many clients for so long; returns the seconds in which their texts were counted."""
    warm = Figures()
    await asyncio.gather(*(client(port, body, number, warm) for number in range(streams)))
    start, before = time.perf_counter(), busy(server)
    ends: list[float] = []

    async def loop(number: int) -> None:
        while time.perf_counter() - start < seconds:
            await client(port, body, number, figures)
            ends.append(time.perf_counter())
            number += streams

    await asyncio.gather(*(loop(streams + number) for number in range(streams)))
    took = max(ends) - start
    figures.busy = [round((now - then) / took, 3) for now, then in zip(busy(server), before, strict=False)]
    return took


def prompt(number: int) -> str:
    text = bundled_text("shakespeare").read_text(encoding="utf-8")
    place = 5000 + 977 * number % (len(text) - 10_000)
    return text[place : place + PROMPT_CHARACTERS]


async def client(port: int, body: dict[str, Any], number: int, figures: Figures) -> None:
    """One streamed text, read as it comes."""
    asked = {**body, "prompt": prompt(number), "max_tokens": TOKENS, "temperature": 0.8, "stream": True, "seed": number}
    content = json.dumps(asked).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    began = time.perf_counter()
    head = f"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    writer.write(head.encode() + content)
    first, events, counted = None, 0, 0
    async for line in reader:
        if line.startswith(b"HTTP/") and b" 200 " not in line:
            figures.failed.append(line.decode().strip())
        if not line.startswith(b"data: {"):
            continue
        if first is None:
            first = time.perf_counter() - began
        events += 1
        if b'"completion_tokens"' in line:
            counted = json.loads(line[6:])["usage"]["completion_tokens"]
    writer.close()
    figures.first.append(first if first is not None else float("nan"))
    figures.tokens += counted or events
    figures.events += events
    figures.texts += 1


def summary(figures: Figures, took: float) -> dict[str, Any]:
    ordered = sorted(figures.first)
    return {
        "tokens_per_second": round(figures.tokens / took, 1),
        "first_median": round(statistics.median(ordered), 4),
        "first_p95": round(ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))], 4),
        "texts": figures.texts,
        "tokens_per_text": round(figures.tokens / figures.texts, 1),
        "events_per_text": round(figures.events / figures.texts, 1),
        "clients": figures.busy[0],
        "server": figures.busy[1],
        "threads": sorted(figures.busy[2:], reverse=True)[:4],
        "failed": figures.failed[:3],
    }


def show(size: str, peer: str, rows: dict[str, Any]) -> None:
    if peer == "treadle":
        return
    for streams, ours in rows["treadle"].items():
        theirs = rows[peer][streams]
        more = ours["tokens_per_second"] / theirs["tokens_per_second"]
        sooner = theirs["first_median"] / ours["first_median"]
        print(f"{size}, {streams} streams: {more:.1f} times the tokens, the first after 1/{sooner:.1f} of the time")


if __name__ == "__main__":
    main()

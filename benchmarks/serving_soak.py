"""A server under mixed load for as long as wanted: does its memory stay flat, does anything fail?

    python benchmarks/serving_soak.py --folder PATH [--size 1M] [--minutes 60] [--clients 24] [--rate N]
        [--out FILE]

`--folder` was made by `benchmarks/serving.py --prepare`. Clients take turns at random, seeded, between whole answers,
streams, streams that are left in the middle, several texts at once, embeddings, chats, and requests that are wrong.
With `--rate` they make so many requests a second together, at random times, instead of one after the other. Resident
memory is what the server tells of itself, its processor time what the kernel tells. Exits with an error if there was a
status of 500 or more, if memory at the end is more than a tenth above that of the first tenth of the time, or if a text
is still being written when all clients have gone.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from serving import described, free_port, prompt, wait_for

SETTLE_SECONDS = 20.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--size", default="1M")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--clients", type=int, default=24)
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    port = free_port()
    command = [sys.executable, "-m", "treadle", "serve", chosen.size, "--port", str(port)]
    process = subprocess.Popen([*command, "--workspace", str(chosen.folder / "lab")], stderr=subprocess.DEVNULL)
    try:
        wait_for(port, process)
        found = soak(port, process.pid, chosen)
    finally:
        process.terminate()
        process.wait(30)
    print(json.dumps(found, indent=2))
    if chosen.out:
        chosen.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    if not found["flat"] or found["left_over"] or any(int(status) >= 500 for status in found["statuses"]):
        sys.exit("the server did not hold")


def soak(port: int, server: int, chosen: argparse.Namespace) -> dict[str, Any]:
    facts, statuses = described(), Counter[int]()
    memory: list[tuple[float, float]] = []
    start, over = time.monotonic(), threading.Event()

    def client(number: int) -> None:
        chance = random.Random(number)
        while not over.is_set():
            if chosen.rate and over.wait(chance.expovariate(chosen.rate / chosen.clients)):
                return
            statuses[ask(port, chosen.size, chance)] += 1

    threads = [threading.Thread(target=client, args=(number,)) for number in range(chosen.clients)]
    for thread in threads:
        thread.start()
    while time.monotonic() - start < 60 * chosen.minutes:
        time.sleep(max(1.0, chosen.minutes / 2))
        memory.append((round(time.monotonic() - start, 1), figure(port, "process_resident_memory_bytes") / 1e6))
    over.set()
    for thread in threads:
        thread.join()
    deadline = time.monotonic() + SETTLE_SECONDS
    while figure(port, "treadle_serve_texts_active") and time.monotonic() < deadline:
        time.sleep(0.2)
    early = max(value for _, value in memory[: max(1, len(memory) // 10)])
    late = max(value for _, value in memory[-max(1, len(memory) // 10) :])
    return {
        **{name: facts[name] for name in ("date", "commit", "machine", "cores")},
        "command": " ".join(["python", "benchmarks/serving_soak.py", *sys.argv[1:]]),
        "minutes": chosen.minutes,
        "processor_seconds": round(processor_seconds(server), 1),
        "statuses": {str(status): count for status, count in sorted(statuses.items())},
        "megabytes_early": round(early, 1),
        "megabytes_late": round(late, 1),
        "flat": late <= 1.1 * early,
        "left_over": figure(port, "treadle_serve_texts_active"),
        "tokens": figure(port, "treadle_serve_written_tokens_total"),
        "memory": memory,
    }


def processor_seconds(process: int) -> float:
    """What all threads of a process have taken so far."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return sum(int(ticks) for ticks in fields[11:13]) / os.sysconf("SC_CLK_TCK")


def ask(port: int, name: str, chance: random.Random) -> int:
    """One request of some kind; returns its status, 0 for one that was left in the middle."""
    text, seed, tokens = prompt(chance.randrange(500)), chance.randrange(1000), chance.randrange(1, 200)
    body: dict[str, Any] = {"model": name, "prompt": text, "max_tokens": tokens, "seed": seed}
    kind = chance.choice(["whole", "stream", "left", "several", "embedding", "chat", "wrong"])
    path = {"embedding": "/v1/embeddings", "chat": "/v1/chat/completions"}.get(kind, "/v1/completions")
    if kind in {"stream", "left"}:
        body.update(stream=True, logprobs=chance.choice([None, 3]))
    elif kind == "several":
        body.update(n=4, prompt=[text, text[:40]])
    elif kind == "embedding":
        body = {"model": name, "input": [text, text[:30]]}
    elif kind == "chat":
        body["messages"] = [{"role": "user", "content": body.pop("prompt")}]
    elif kind == "wrong":
        body.update(chance.choice([{"temperature": -1}, {"model": "nobody"}, {"prompt": text * 50}, {"what": 1}]))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request("POST", path, json.dumps(body))
        answer = connection.getresponse()
        if kind == "left":
            answer.readline()
            return 0
        answer.read()
        return answer.status
    finally:
        connection.close()


def figure(port: int, name: str) -> float:
    """The sum of a figure over its labels."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    finally:
        connection.close()
    return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? ([\d.e+]+)$", text, re.MULTILINE))


if __name__ == "__main__":
    main()

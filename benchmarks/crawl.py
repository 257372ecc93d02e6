"""Crawling a site on loopback, beside Scrapy: processor time, what a kill costs, what is fetched again.

    python benchmarks/crawl.py --scrapy OTHER_ENVIRONMENT/bin/python --results benchmarks/results/crawl.json

Both follow all links of one host, obey robots.txt, ask one thing at a time without a pause, and keep each page's bytes
on the disk. Scrapy has its job folder (JOBDIR), to go on after a stop, and its HTTP cache by RFC 2616, to ask only for
news. The site is made: pages of about 25 kB with 30 links each, ETag and Last-Modified; its server is a process of its
own that counts what it is asked for. Three measurements, each in a fresh folder:

- `crawl`: processor seconds of the crawler's processes for all pages, median of the rounds, taking turns;
- `kill`: SIGKILL after a third of the pages, the same command again: pages that are there then, pages asked for twice;
- `news`: two pages are touched, the same command again: bodies that were sent again.

Treadle's side is the crawl alone, without reading the pages' text, which Scrapy does not do either.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import IO, Any

HERE = Path(__file__).resolve()
SITE = HERE.parents[1] / "tests" / "site_server.py"

TREADLE = """
import sys, time
from pathlib import Path
from treadle.data.crawl.config import CrawlSettings
from treadle.data.crawl.crawler import Crawler
from treadle.data.crawl.fetching import Fetcher
from treadle.data.crawl.frontier import Frontier
from treadle.data.crawl.parser import PageParser
from treadle.data.crawl.rules import Boundaries
from treadle.store.objects import ObjectStore

class Watcher:
    def moved(self): pass

url, folder = sys.argv[1], Path(sys.argv[2])
settings = CrawlSettings(rate=1000.0, depth=100, max_pages=100_000)
boundaries = Boundaries((url,), "host", (), (), (), settings.depth)
fetching = Fetcher("Treadle", allow_private=True, connections=1)
with Frontier(folder) as frontier, fetching as fetcher, PageParser() as parser:
    frontier.begin(boundaries, time.time())
    objects = ObjectStore(folder / "objects")
    Crawler(frontier, fetcher, parser, objects, settings, boundaries).run(lambda: False, Watcher())
    print(frontier.kept_pages())
"""

SCRAPY = """
import hashlib, sys
from pathlib import Path
from scrapy.crawler import CrawlerProcess
from scrapy.linkextractors import LinkExtractor
from scrapy.spiders import CrawlSpider, Rule

url, folder = sys.argv[1], Path(sys.argv[2])
pages = folder / "pages"
pages.mkdir(parents=True, exist_ok=True)

class Spider(CrawlSpider):
    name = "bench"
    start_urls = [url]
    allowed_domains = ["127.0.0.1"]
    rules = (Rule(LinkExtractor(), callback="keep", follow=True),)
    def parse_start_url(self, response):
        return self.keep(response)
    def keep(self, response):
        (pages / hashlib.sha256(response.url.encode()).hexdigest()).write_bytes(response.body)

process = CrawlerProcess({
    "JOBDIR": str(folder / "job"), "ROBOTSTXT_OBEY": True, "LOG_LEVEL": "ERROR", "DOWNLOAD_DELAY": 0,
    "CONCURRENT_REQUESTS_PER_DOMAIN": 1, "RETRY_ENABLED": False, "TELNETCONSOLE_ENABLED": False,
    "HTTPCACHE_ENABLED": True, "HTTPCACHE_DIR": str(folder / "cache"),
    "HTTPCACHE_POLICY": "scrapy.extensions.httpcache.RFC2616Policy",
})
process.crawl(Spider)
process.start()
print(len(list(pages.iterdir())))
"""

SERVER = """
import importlib.util, json, sys, threading
found = importlib.util.spec_from_file_location("site_server", sys.argv[1])
module = importlib.util.module_from_spec(found); sys.modules["site_server"] = module; found.loader.exec_module(module)
site = module.Site(pages={path: body.encode() for path, body in json.load(open(sys.argv[2])).items()})
site.headers = {path: {"Cache-Control": "max-age=0"} for path in site.pages}  # a cache must ask whether it is fresh
print(site.url, flush=True)
for line in sys.stdin:
    words = line.split()
    if words[0] == "touch":
        for path in words[1:]:
            site.touch(path, site.pages[path] + b"<p>More.</p>")
    if words[0] == "forget":
        site.log.clear()
    said = [[request.path, request.status] for request in site.log] if words[0] == "log" else "ok"
    print(json.dumps(said), flush=True)
"""


class Server:
    """The site, in a process of its own."""

    def __init__(self, pages: int, folder: Path) -> None:
        stored = folder / "site.json"
        stored.write_text(json.dumps(made_site(pages)))
        command = [sys.executable, "-c", SERVER, str(SITE), str(stored)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.url = _out(self.process).readline().strip()

    def say(self, words: str) -> Any:  # noqa: ANN401 - what a command answers
        if self.process.stdin is not None:
            self.process.stdin.write(words + "\n")
            self.process.stdin.flush()
        return json.loads(_out(self.process).readline())

    def bodies(self) -> Counter[str]:
        """How often each page's body was sent."""
        sent = self.say("log")
        return Counter(path for path, status in sent if status == 200 and path.startswith("/p"))


def _out(process: subprocess.Popen[str]) -> IO[str]:
    if process.stdout is None:
        raise SystemExit("The process has no output.")
    return process.stdout


def made_site(pages: int) -> dict[str, str]:
    chance = random.Random(11)
    words = [f"w{chance.randrange(10**6)}" for _ in range(5000)]
    site = {"/robots.txt": "User-agent: *\nDisallow: /private/\n"}
    for number in range(pages):
        links = [(number * 2 + 1) % pages, (number * 2 + 2) % pages, *(chance.randrange(pages) for _ in range(28))]
        anchors = "".join(f'<li><a href="/p{link}.html">Page {link}</a></li>' for link in links)
        text = "".join(f"<p>{' '.join(chance.choices(words, k=100))}</p>" for _ in range(32))
        site[f"/p{number}.html"] = (
            f"<!DOCTYPE html><html><body><ul>{anchors}</ul><article>{text}</article></body></html>"
        )
    return site


def command(who: str, scrapy: str, server: Server, folder: Path) -> list[str]:
    program, text = (sys.executable, TREADLE) if who == "treadle" else (scrapy, SCRAPY)
    return [program, "-c", text, f"{server.url}/p0.html", str(folder)]


def timed(words: list[str]) -> tuple[float, float, int]:
    """Processor seconds, seconds and pages of one whole crawl."""
    begin = time.perf_counter()
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    said = _out(process).read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{words[0]} failed")
    return used.ru_utime + used.ru_stime, time.perf_counter() - begin, int(said.split()[-1])


def crawled(who: str, scrapy: str, server: Server, rounds: int) -> list[tuple[float, float, int]]:
    found = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            found.append(timed(command(who, scrapy, server, Path(folder))))
    return found


def killed(who: str, scrapy: str, server: Server, pages: int) -> dict[str, int]:
    server.say("forget")
    with tempfile.TemporaryDirectory() as folder:
        words = command(who, scrapy, server, Path(folder))
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
        while len(server.bodies()) < pages // 3 and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        before = len(server.bodies())
        there = timed(words)[2]
        sent = server.bodies()
        return {
            "pages_before_the_kill": before,
            "pages_after_resume": there,
            "bodies_sent_twice": sum(sent.values()) - len(sent),
            "pages_never_asked_for": pages - len(sent),
        }


def news(who: str, scrapy: str, server: Server) -> dict[str, int]:
    with tempfile.TemporaryDirectory() as folder:
        words = command(who, scrapy, server, Path(folder))
        timed(words)
        server.say("forget")
        touched = (3, 4) if who == "treadle" else (5, 6)  # pages that nobody has touched before
        server.say(f"touch /p{touched[0]}.html /p{touched[1]}.html")
        job = Path(folder) / "job"
        if job.exists():  # Scrapy remembers every request there and would ask for nothing at all
            job.rename(Path(folder) / "old-job")
        timed(words)
        sent = server.bodies()
        asked = sum(path.startswith("/p") for path, _ in server.say("log"))
        return {"bodies_sent_again": sum(sent.values()), "requests": asked}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scrapy", help="Python of an environment with Scrapy")
    parser.add_argument("--pages", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--results", type=Path)
    given = parser.parse_args()
    names = ["treadle", *(["scrapy"] if given.scrapy else [])]
    with tempfile.TemporaryDirectory() as folder:
        server = Server(given.pages, Path(folder))
        times: dict[str, list[tuple[float, float, int]]] = {name: [] for name in names}
        for _ in range(given.rounds):
            for name in names:
                times[name] += crawled(name, given.scrapy, server, 1)
        found: dict[str, Any] = {}
        for name in names:
            found[name] = {
                "crawl": {
                    "cpu_seconds": round(statistics.median(row[0] for row in times[name]), 2),
                    "seconds": round(statistics.median(row[1] for row in times[name]), 2),
                    "pages": times[name][0][2],
                    "rounds": given.rounds,
                },
                "kill": killed(name, given.scrapy, server, given.pages),
                "news": news(name, given.scrapy, server),
            }
        server.process.kill()
    report = {
        "command": " ".join(["python", "benchmarks/crawl.py", *shown(sys.argv[1:])]),
        **facts(given),
        "found": found,
    }
    print(json.dumps(report, indent=2))
    if given.results:
        given.results.write_text(json.dumps(report, indent=2) + "\n")


def shown(words: list[str]) -> list[str]:
    return ["PEER" if word.endswith("/python") else word for word in words]


def facts(given: argparse.Namespace) -> dict[str, Any]:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=HERE.parent, check=True
    )
    version = ""
    if given.scrapy:
        words = [given.scrapy, "-c", "import scrapy; print(scrapy.__version__)"]
        asked = subprocess.run(words, capture_output=True, text=True, check=True)
        version = asked.stdout.strip()
    return {
        "commit": commit.stdout.strip(),
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "scrapy": version,
        "pages": given.pages,
    }


if __name__ == "__main__":
    main()

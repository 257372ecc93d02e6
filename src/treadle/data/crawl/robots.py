"""robots.txt by RFC 9309: the longest match decides, `*` and `$` are understood, equal lengths allow.

Also Crawl-delay and Sitemap, which the RFC leaves to practice. A file is read up to `MOST_BYTES`; matching takes time
in proportion to rule and address, whatever a rule holds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from treadle.data.crawl.urls import normalise, path_of

MOST_BYTES: Final = 512 << 10
"""The RFC asks for at least 500 KiB."""
AGENT: Final = "treadle"
MOST_SECONDS: Final = 300.0
"""No Crawl-delay holds us longer."""
_MOST_RULES: Final = 10_000
_MOST_CHARACTERS: Final = 2_000
_MOST_SITEMAPS: Final = 100
_TOKEN = re.compile(r"[A-Za-z_-]+|\*")
_ORIGIN: Final = "http://h"


@dataclass(frozen=True, slots=True)
class RobotsRule:
    """One line that applies to us."""

    allow: bool
    pattern: str
    line: int
    """Its number in the file, from 1."""

    def __str__(self) -> str:
        return f"{'Allow' if self.allow else 'Disallow'}: {self.pattern} (line {self.line} of robots.txt)"


@dataclass(frozen=True, slots=True)
class Robots:
    """What a host's robots.txt says to us."""

    rules: tuple[RobotsRule, ...] = ()
    delay: float = 0.0
    """Seconds between two questions."""
    sitemaps: tuple[str, ...] = ()

    def decide(self, address: str) -> tuple[bool, RobotsRule | None]:
        """Whether a normalised address may be asked for, and the rule that decided, if there is one."""
        path = path_of(address)
        best: RobotsRule | None = None
        for rule in self.rules:
            if best is not None and (len(rule.pattern), rule.allow) <= (len(best.pattern), best.allow):
                continue
            if _matches(rule.pattern, path):
                best = rule
        return (best is None or best.allow), best

    def to_json(self) -> dict[str, Any]:
        """Plain values, for the frontier."""
        rules = [[rule.allow, rule.pattern, rule.line] for rule in self.rules]
        return {"rules": rules, "delay": self.delay, "sitemaps": list(self.sitemaps)}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Robots:
        """What `to_json` gave."""
        rules = tuple(RobotsRule(*rule) for rule in stored["rules"])
        return cls(rules, stored["delay"], tuple(stored["sitemaps"]))


def parse_robots(data: bytes, agent: str = AGENT) -> Robots:
    """Read the groups that are about `agent`, or else those about everybody."""
    groups: dict[bool, list[RobotsRule]] = {True: [], False: []}
    delays: dict[bool, float] = {}
    ours = False
    named: set[bool] = set()  # about whom the present group is: us (True), everybody (False)
    in_heads = False
    sitemaps: list[str] = []
    text = data[:MOST_BYTES].decode("utf-8", "replace").removeprefix("\ufeff")
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), 1):
        key, colon, value = line.partition("#")[0].partition(":")
        key, value = key.strip().lower(), value.strip()
        if not colon or len(value) > _MOST_CHARACTERS:
            continue
        if key == "user-agent":
            named = named if in_heads else set()
            in_heads = True
            token = _TOKEN.match(value)
            about_us = token is not None and token[0].lower() == agent
            if about_us or (token is not None and token[0] == "*"):
                named.add(about_us)
            ours = ours or about_us
        elif key in {"allow", "disallow"}:
            in_heads = False
            _add(groups, named, RobotsRule(key == "allow", _pattern(value), number))
        elif key == "crawl-delay":
            in_heads = False
            for group in named:
                delays.setdefault(group, _seconds(value))
        elif key == "sitemap" and len(sitemaps) < _MOST_SITEMAPS:
            sitemaps.append(value)
    return Robots(tuple(groups[ours]), delays.get(ours, 0.0), tuple(sitemaps))


def _add(groups: dict[bool, list[RobotsRule]], named: set[bool], rule: RobotsRule) -> None:
    for group in named:
        if rule.pattern and len(groups[group]) < _MOST_RULES:  # an empty one says nothing
            groups[group].append(rule)


def _pattern(value: str) -> str:
    """The pattern in the spelling of normalised addresses; its `*` and `$` mean what they mean."""
    if not value:
        return ""
    value = value if value.startswith(("/", "*")) else f"/{value}"
    end = "$" if value.endswith("$") else ""
    marked = [_normal(part) for part in value.removesuffix("$").split("*")]
    return re.sub(r"\*+", "*", "*".join(marked)) + end


def _normal(part: str) -> str:
    """Percent-encoding as in addresses, and nothing else: dots and queries stay."""
    if not part or (part.isascii() and not re.search(r"[%\s\"<>\\^`{|}#]", part)):
        return part
    whole = normalise(f"{_ORIGIN}/?{part}")
    return whole[len(_ORIGIN) + 2 :]


def _seconds(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        return 0.0
    return min(seconds, MOST_SECONDS) if seconds > 0 else 0.0


def _matches(pattern: str, path: str) -> bool:
    anchored = pattern.endswith("$")
    first, *others = pattern.removesuffix("$").split("*")
    if not path.startswith(first):
        return False
    place = len(first)
    if not others:
        return not anchored or place == len(path)
    for part in others[:-1]:
        found = path.find(part, place)
        if found < 0:
            return False
        place = found + len(part)
    last = others[-1]
    if anchored:
        return len(path) - len(last) >= place and path.endswith(last)
    return path.find(last, place) >= 0

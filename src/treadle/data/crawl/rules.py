r"""Rules on addresses, and the one that decides about an address.

A rule is written `KIND:VALUE`: `exact:https://a.org/x`, `domain:ads.example` (subdomains too), `prefix:https://a.org/x/`,
`path:/x/` on any host, `regex:[?&]page=\d{3}`. Without a kind, an address is a prefix, a `/path` a path, and a name a
domain.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, get_args

from treadle.base.errors import UsageError
from treadle.data.crawl.urls import AddressError, name_of, normalise, path_of, trap

if TYPE_CHECKING:
    from collections.abc import Sequence

Kind = Literal["exact", "domain", "prefix", "path", "regex"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Rule:
    """Matches some addresses."""

    kind: Kind
    value: str

    def matches(self, address: str) -> bool:
        """Whether it is about this normalised address."""
        if self.kind == "exact":
            return address == self.value
        if self.kind == "prefix":
            return address.startswith(self.value)
        if self.kind == "path":
            return path_of(address).startswith(self.value)
        if self.kind == "domain":
            name = name_of(address)
            return name == self.value or name.endswith(f".{self.value}")
        return re.search(self.value, address) is not None

    def __str__(self) -> str:
        return f"{self.kind}:{self.value}"


def parse_rule(text: str) -> Rule:
    """Read a rule; raises `UsageError` with the ways to write one."""
    kind, colon, value = text.strip().partition(":")
    if not colon or kind not in KINDS:
        kind, value = _guessed(text.strip())
    if not value:
        raise UsageError(f"`{text}` is no rule: nothing stands behind `{kind}:`. Write {_WAYS}")
    if kind == "regex":
        try:
            re.compile(value)
        except re.error as error:
            raise UsageError(f"`{value}` is no regular expression: {error}.") from error
        return Rule("regex", value)
    if kind == "domain":
        return Rule("domain", _domain(text, value))
    if kind == "path":
        return Rule("path", value if value.startswith("/") else f"/{value}")
    try:
        return Rule("exact" if kind == "exact" else "prefix", normalise(value))
    except AddressError as error:
        raise UsageError(f"`{text}` is no rule: {error} Write {_WAYS}") from error


_WAYS = "exact:ADDRESS, domain:NAME, prefix:ADDRESS, path:/PATH or regex:EXPRESSION."


def _guessed(text: str) -> tuple[str, str]:
    if text.startswith(("http://", "https://")):
        return "prefix", text
    return ("path", text) if text.startswith("/") else ("domain", text)


def _domain(text: str, value: str) -> str:
    try:
        return name_of(normalise(f"http://{value}/"))
    except AddressError as error:
        raise UsageError(f"`{text}` is no rule: `{value}` is no name of a host. Write {_WAYS}") from error


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an address may be asked for, and what decided that."""

    allowed: bool
    reason: str
    """A code: `given`, `scope`, `rule`, `exclude`, `include`, `depth`, `too_long`, ..."""
    rule: str
    """The rule or limit, in words."""


@dataclass(frozen=True, slots=True)
class Boundaries:
    """What a crawl may follow: all that needs no network to be decided."""

    seeds: tuple[str, ...]
    scope: Literal["host", "domain", "any"]
    blocked: tuple[Rule, ...]
    include: tuple[Rule, ...]
    exclude: tuple[Rule, ...]
    depth: int
    url_length: int = 2_000
    folder_pages: int = 5_000

    def verdict(self, address: str, depth: int = 0, extra_hosts: Sequence[str] = ()) -> Verdict:
        """Decide about a normalised address at `depth`; `extra_hosts` are inside the scope too."""
        found = trap(address, self.url_length)
        if found is not None:
            return _no(found, _TRAPS[found])
        for kind, rules in (("rule", self.blocked), ("exclude", self.exclude)):
            rule = _first(rules, address)
            if rule is not None:
                return _no(kind, str(rule))
        if not self._within(address, extra_hosts):
            return _no("scope", f"scope {self.scope}: {', '.join(sorted(map(name_of, self.seeds)))}")
        if address in self.seeds:
            return _yes("given", "an address that was given")
        if depth > self.depth:
            return _no("depth", f"depth {self.depth}")
        if self.include:
            rule = _first(self.include, address)
            if rule is None:
                return _no("include", f"no rule to include matches: {', '.join(map(str, self.include))}")
            return _yes("include", str(rule))
        return _yes("scope", f"scope {self.scope}")

    def _within(self, address: str, extra_hosts: Sequence[str]) -> bool:
        if self.scope == "any":
            return True
        name = name_of(address)
        hosts = _hosts_of(self.seeds)
        if self.scope == "host":
            return name in hosts or name in extra_hosts
        tops = {host.removeprefix("www.") for host in (*hosts, *extra_hosts)}
        return any(name == top or name.endswith(f".{top}") for top in tops)


def _yes(reason: str, rule: str) -> Verdict:
    return Verdict(allowed=True, reason=reason, rule=rule)


def _no(reason: str, rule: str) -> Verdict:
    return Verdict(allowed=False, reason=reason, rule=rule)


_TRAPS = {
    "too_long": "longer than --url-length",
    "too_many_parts": "more parts than a page's address has",
    "repeated_parts": "parts that repeat, as addresses without end have",
}


@lru_cache(maxsize=16)
def _hosts_of(seeds: tuple[str, ...]) -> frozenset[str]:
    return frozenset(map(name_of, seeds))


def _first(rules: Sequence[Rule], address: str) -> Rule | None:
    return next((rule for rule in rules if rule.matches(address)), None)

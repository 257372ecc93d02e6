"""Links of a page, where they lead, and how they are kept alive when files move."""

from __future__ import annotations

import os
import re
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from treadle.flow.edits import Splice
from treadle.flow.page import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from treadle.flow.page import Page

_INLINE = re.compile(
    r"\[(?:[^\[\]]|\[[^\[\]]*\])*\]"
    r"\(\s*(?:<(?P<angled>[^<>\n]*)>|(?P<plain>[^\s()<>]*(?:\([^\s()]*\)[^\s()<>]*)*))"
)
_DEFINITION = re.compile(r"[ ]{0,3}\[[^\]\n]+\]:[ \t]*(?:<(?P<angled>[^<>\n]*)>|(?P<plain>\S+))")
_CODE = re.compile(r"(`+)(?:(?!`).|(?!\1)`+)*?\1(?!`)")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.IGNORECASE)
_MARKUP = re.compile(r"\[([^\]]*)\]\([^)]*\)|[*`]|<[^>]*>")
_NOT_SLUG = re.compile(r"[^\w\- ]")
_OWN_ANCHOR = re.compile(r"<a\s+(?:id|name)=[\"']([^\"']+)[\"']", re.IGNORECASE)
_PLAIN_PATH = re.compile(r"[^\s()<>]*$")


@dataclass(frozen=True, slots=True)
class Link:
    """One link to a file or heading of ours."""

    line: int
    start: int
    """Where the target begins in the text, without brackets."""
    end: int
    target: str

    @property
    def path(self) -> str:
        """The file part as a path; empty for a heading of the same page."""
        return urllib.parse.unquote(self.target.partition("#")[0].partition("?")[0])

    @property
    def anchor(self) -> str:
        """The heading part; empty if there is none."""
        return urllib.parse.unquote(self.target.partition("#")[2])


def links(page: Page) -> Iterator[Link]:
    """All links of a page that lead to files or headings, outside code; not those to other places of the web."""
    for index, line in enumerate(page.lines):
        if line.kind in ("code", "blank"):
            continue
        row = page.text[line.start : line.end]
        if "](" not in row and "]:" not in row:
            continue
        code = [found.span() for found in _CODE.finditer(row)] if "`" in row else []
        founds = list(_INLINE.finditer(row)) + ([one] if (one := _DEFINITION.match(row)) else [])
        for found in founds:
            name = "plain" if found["angled"] is None else "angled"
            target = found[name]
            if not target or _SCHEME.match(target) or any(a <= found.start(name) < b for a, b in code):
                continue
            yield Link(index, line.start + found.start(name), line.start + found.end(name), target)


def slug(title: str) -> str:
    """The anchor that renderers give to a heading."""
    text = _MARKUP.sub(lambda found: found[1] or "", title.strip())
    return _NOT_SLUG.sub("", text.lower()).replace(" ", "-")


def anchors(page: Page) -> set[str]:
    """All anchors of a page; a repeated heading gets `-1`, `-2`."""
    found: set[str] = set(_OWN_ANCHOR.findall(page.text))
    counts: dict[str, int] = {}
    for line in page.lines:
        if line.shape.heading and line.kind in ("heading", "item"):
            prefix = page.text[line.start : line.end]
            name = slug(prefix[prefix.index("#") :].lstrip("#").rstrip().rstrip("#"))
            number = counts.get(name, 0)
            counts[name] = number + 1
            found.add(name if number == 0 else f"{name}-{number}")
    return found


def problem(link: Link, page: Page, file: Path, root: Path, cache: dict[Path, set[str]]) -> str | None:
    """What is wrong with a link of the page in `file`, or None if it leads somewhere."""
    target = destination(link, file, root)
    if not target.exists():
        return f"`{link.target}` leads nowhere: there is no {_from(target, root)}."
    if not link.anchor or target.suffix.lower() not in (".md", ".markdown") or not target.is_file():
        return None
    if target not in cache:
        own = target == file.resolve()
        text = page.text if own else target.read_bytes().decode("utf-8", "surrogateescape")
        cache[target] = anchors(page if own else parse("", text))
    if link.anchor.lower() in {name.lower() for name in cache[target]}:
        return None
    return f"`{link.target}` leads to no heading of {_from(target, root)}."


def destination(link: Link, file: Path, root: Path) -> Path:
    """The file that a link names; a leading slash means the root of the notes."""
    if not link.path:
        return file.resolve()
    base = root if link.path.startswith("/") else file.parent
    return Path(os.path.normpath(base / link.path.lstrip("/")))


def retargeted(link: Link, text: str, target: Path, folder: Path) -> Splice:
    """Point a link at `target` as seen from `folder`; the anchor stays."""
    relative = os.path.relpath(target, folder).replace(os.sep, "/")
    if link.target.partition("#")[0].startswith("./"):
        relative = f"./{relative}"
    if link.path.endswith("/"):
        relative += "/"
    angled = text[link.start - 1 : link.start] == "<"
    written = relative if angled or _PLAIN_PATH.match(relative) else urllib.parse.quote(relative)
    rest = link.target[len(link.target.partition("#")[0].partition("?")[0]) :]
    return Splice(link.start, link.end, written + rest)


def repaired(page: Page, old: Path, new: Path, moved: Callable[[Path], Path]) -> list[Splice]:
    """The links of a page that moves from `old` to `new` while files move as `moved` says."""
    splices = []
    for link in links(page):
        if not link.path or link.path.startswith("/"):
            continue
        before = Path(os.path.normpath(old.parent / link.path))
        after = moved(before)
        if after != before or old.parent != new.parent:
            splice = retargeted(link, page.text, after, new.parent)
            if os.path.normpath(new.parent / link.path) != str(after) and splice.text != link.target:
                splices.append(splice)
    return splices


def moved_rows(rows: list[str], old: Path, new: Path) -> list[str]:
    """Lines that go from one file to another, with their links as seen from the new place."""
    if old.parent == new.parent:
        return rows
    page = parse("", "\n".join(rows))
    text, splices = page.text, repaired(page, old, new, lambda path: path)
    for splice in reversed(splices):
        text = text[: splice.start] + splice.text + text[splice.end :]
    return text.split("\n")


def renamed(mapping: Mapping[Path, Path]) -> Callable[[Path], Path]:
    """Where a path lies after some files or folders have moved."""

    def place(path: Path) -> Path:
        for old, new in mapping.items():
            if path == old:
                return new
            if path.is_relative_to(old):
                return new / path.relative_to(old)
        return path

    return place


def _from(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else os.path.relpath(path, root)

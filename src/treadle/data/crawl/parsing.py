"""The process that looks through what a crawl was answered: `python -m treadle.data.crawl.parsing`, by `parser.py`.

Each line of its input is a question about one body, which lies in a file that it shares with its parent; it answers
with one line. Handlers of kinds of sites, which may be plugins, are asked here, too.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from treadle.data.crawl.found import HTML, Found, PageFacts
from treadle.data.crawl.lists import addresses_in, kind_of_list
from treadle.data.crawl.page_facts import page_facts
from treadle.data.crawl.sites.catalog import handler_of
from treadle.data.readers.confined import confined, say

if TYPE_CHECKING:
    from collections.abc import Mapping


def main() -> int:
    """Answer questions until the input ends."""
    begun = confined()
    if begun is None:
        return 0
    order, output = begun
    say(output, b"ready")
    for line in sys.stdin.buffer:
        question = json.loads(line)
        say(output, json.dumps(_answer(os.pread(order["body"], question["size"], 0), question)).encode())
    return 0


def _answer(body: bytes, question: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return asdict(looked_through(body, question))
    except MemoryError:
        return {"error": "it needs more memory than its parser may use"}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {str(error)[:200]}"}


def looked_through(body: bytes, question: Mapping[str, Any]) -> Found:
    """What a body holds; `question` says its `address`, `type`, `robots` header, and whether to `strip_tracking`."""
    address, strip = question["address"], question["strip_tracking"]
    if question["type"] in HTML:
        return Found(_followed(page_facts(address, body, question["robots"], strip_tracking=strip)))
    if kind_of_list(body) is None:
        return Found()
    pages, lists = addresses_in(address, body, strip_tracking=strip)
    return Found(is_list=True, pages=tuple(pages), lists=tuple(lists))


def _followed(facts: PageFacts) -> PageFacts:
    """Without the links that the handler of the site does not follow."""
    handler = handler_of(facts.generator)
    if handler is None:
        return facts
    return replace(facts, links=tuple(link for link in facts.links if handler.follows(link)))


if __name__ == "__main__":
    sys.exit(main())

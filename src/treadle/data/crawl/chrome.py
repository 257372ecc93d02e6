"""Lines that a host puts on page after page: its chrome. What stands on more than 30 % of its pages is no text.

A host's chrome is found once, on its first `SAMPLE` pages (or all, where it has fewer), and stays: so what of a page is
text hangs on the order of the pages alone, and on no interruption.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

SAMPLE: Final = 20
"""Pages on which a host's chrome is found; they wait for each other."""
FEWEST: Final = 5
"""On fewer pages nothing counts as chrome."""
SHARE: Final = 0.3
_WORDS = re.compile(r"\w")
_FEWEST_CHARACTERS: Final = 3
_BLANK = re.compile(r"\n{3,}")


def chrome_of(texts: Iterable[str]) -> set[str]:
    """The lines that stand on more than `SHARE` of these texts; lines of signs alone never count."""
    counts: Counter[str] = Counter()
    pages = 0
    for text in texts:
        pages += 1
        counts.update({line for line in map(str.strip, text.split("\n")) if _says_something(line)})
    if pages < FEWEST:
        return set()
    return {line for line, number in counts.items() if number > SHARE * pages}


def without_chrome(text: str, chrome: Collection[str]) -> str:
    """A text without these lines, and at most one blank line where they were."""
    if not chrome:
        return text
    kept = [line for line in text.split("\n") if line.strip() not in chrome]
    return _BLANK.sub("\n\n", "\n".join(kept)).strip()


def _says_something(line: str) -> bool:
    return len(_WORDS.findall(line[:80])) >= _FEWEST_CHARACTERS

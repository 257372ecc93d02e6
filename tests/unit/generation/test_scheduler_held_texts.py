"""Which old text is given up for a new one."""

import numpy as np

from treadle.generation.held_texts import HeldTexts, common_prefix


def ids(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8).astype(np.int32)


def test_common_beginnings_are_counted() -> None:
    assert common_prefix(ids("abcd"), ids("abxd")) == 2
    assert common_prefix(ids("ab"), ids("abcd")) == 2
    assert common_prefix(ids(""), ids("abcd")) == 0


def test_a_text_goes_on_where_it_was_read() -> None:
    held = HeldTexts(3)
    for slot, text in enumerate(["once upon a time", "the cat", "a dog"]):
        held.keep(slot, ids(text))
    assert held.choose(range(3), ids("the cat sat")) == 1
    assert held.shared(ids("the cat sat")) == 7


def test_a_text_that_only_begins_alike_leaves_the_other_and_takes_the_longest_unused() -> None:
    held = HeldTexts(3)
    for slot, text in ((1, "system: be brief. user: what is the longest river of all?"), (0, "x"), (2, "y")):
        held.keep(slot, ids(text))
    assert held.choose([0, 1, 2], ids("system: be brief. user: why?")) == 1, "the longest unused, as it happens"
    held.keep(1, ids("system: be brief. user: what is the longest river of all?"))
    assert held.choose([0, 1, 2], ids("system: be brief. user: why?")) == 0
    assert held.choose([2], ids("system: be brief. user: why?")) == 2, "only free slots count"


def test_unused_slots_come_first() -> None:
    held = HeldTexts(2)
    held.keep(0, ids("abc"))
    assert held.choose([0, 1], ids("xyz")) == 1

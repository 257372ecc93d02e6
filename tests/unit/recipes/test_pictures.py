"""How a text is laid out in a picture, and the pictures of an experiment from made-up results."""

import pytest

pytest.importorskip("matplotlib")

from treadle.recipes.experiment_pictures import draw
from treadle.recipes.experiment_verdict import summarise
from treadle.recipes.pictures import _lines


def laid_out(pieces, width):
    lines = _lines([{"text": piece} for piece in pieces], width)
    return ["".join(shown for shown, _ in line) for line in lines]


def test_a_full_line_ends_between_words_where_it_can():
    assert laid_out("to be or not", 8) == ["to be ", "or not"]
    assert laid_out(["to", " be", " or", " not"], 8) == ["to be", " or not"]


def test_a_word_longer_than_a_line_is_cut_and_no_letter_is_lost():
    assert laid_out("a" * 20, 8) == ["a" * 8, "a" * 8, "a" * 4]
    text = "if music be the food of love play on give me excess of it"
    assert "".join(laid_out(text, 10)) == text


def test_a_line_end_begins_a_new_line():
    assert laid_out("ab\ncd", 8) == ["ab⏎", "cd"]


@pytest.mark.parametrize("cells", [1, 3, 14])
def test_an_experiment_is_drawn_however_many_cells_it_has(cells, tmp_path):
    keys = {f"cell {number}": [f"{number}-{seed}" for seed in range(2)] for number in range(cells)}
    results = {
        key: {
            "label": label,
            "held_out": 2.0 + number / 10 + seed / 100,
            "bits_per_byte": 1.0,
            "accuracy": None,
            "steps": 3,
            "tokens": 300,
            "seconds": 1.0 + number,
            "processor_seconds": 2.0,
            "per_second": 100.0,
            "memory_bytes": 1e8,
            "parameters": 9,
            "tokenizer": "t",
            "unit": "tokens",
            "curve": [[100 * step, step / 3, 4.0 - step / 3] for step in range(1, 4)],
        }
        for number, (label, members) in enumerate(keys.items())
        for seed, key in enumerate(members)
    }
    plan = {"name": "many", "question": "Which?", "budget": "3 steps", "seeds": 2}
    draw(summarise(plan, keys, results), results, tmp_path)
    for picture in ("curves.png", "costs.png"):
        assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")

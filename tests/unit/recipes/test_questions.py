"""Questions with given answers: how the file is read, and how scores are compared."""

import json

import numpy as np
import pytest

from treadle.base.errors import DataError, NotFoundError
from treadle.data.tokenizers.tokenizer import train_tokenizer
from treadle.recipes.questions import Answered, Question, _answer, _split, beside, read_questions

GOOD = {"context": "The cat", "choices": [" sat", " ran"], "answer": 1}


def lines(path, *rows):
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return path


def test_a_file_is_read_line_by_line(tmp_path):
    found = read_questions(lines(tmp_path / "q.jsonl", GOOD, "", {**GOOD, "id": "b", "group": "cats"}))
    assert found == [
        Question("The cat", (" sat", " ran"), 1, "1", ""),
        Question("The cat", (" sat", " ran"), 1, "b", "cats"),
    ]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("{", "no JSON"),
        ("[1]", "is a table"),
        ({**GOOD, "question": "?"}, "unknown key 'question'"),
        ({**GOOD, "choice": []}, "Did you mean `choices`"),
        ({**GOOD, "context": 1}, "`context` must be a text"),
        ({**GOOD, "choices": [" a"]}, "2 to 64"),
        ({**GOOD, "choices": [" a", ""]}, "not an empty one"),
        ({**GOOD, "answer": 2}, "0 to 1"),
        ({**GOOD, "answer": True}, "0 to 1"),
        ({**GOOD, "answer": "a"}, "0 to 1"),
    ],
)
def test_a_wrong_line_is_named_with_what_is_wrong(row, reason, tmp_path):
    with pytest.raises(DataError, match=rf"q.jsonl:2: .*{reason}"):
        read_questions(lines(tmp_path / "q.jsonl", GOOD, row))


def test_files_that_hold_no_questions_are_refused(tmp_path):
    with pytest.raises(NotFoundError, match="no file of questions"):
        read_questions(tmp_path / "none.jsonl")
    with pytest.raises(DataError, match="holds no questions"):
        read_questions(lines(tmp_path / "empty.jsonl", "", " "))
    (tmp_path / "latin.jsonl").write_bytes(b"\xe9")
    with pytest.raises(DataError, match="not UTF-8"):
        read_questions(tmp_path / "latin.jsonl")


class Likes:
    """An engine whose next byte is always `favourite`, twice as likely as each other one."""

    context = 12

    def __init__(self, favourite):
        self.logits = np.zeros(257, np.float32)
        self.logits[ord(favourite)] = np.log(2)

    def step(self, rows):
        return np.tile(self.logits, (len(rows.wanted), 1))


def test_scores_are_sums_and_normalised_ones_are_means():
    tokenizer = train_tokenizer("bytes", [])
    question = Question("x", ("b", "aaa"), 1, "1", "")
    answered = _answer(Likes("a"), tokenizer, question)
    assert (answered.plain, answered.normalised) == (False, True)  # one unlikely byte beats three likely ones
    assert _answer(Likes("b"), tokenizer, question).normalised is False


def test_what_cannot_be_read_is_counted_by_reason():
    tokenizer = train_tokenizer("bytes", [])
    assert (
        _answer(Likes("a"), tokenizer, Question("x" * 12, ("a", "b"), 0, "", "")).skipped == "longer than the context"
    )
    letters = train_tokenizer("char", ["ab"])
    assert _answer(Likes("a"), letters, Question("é", ("a", "b"), 0, "", "")).skipped == "unknown characters"


def test_tokens_that_a_choice_changes_are_scored_with_every_choice():
    tokenizer = train_tokenizer("bpe:300", ["the cat sat. the cats sat. " * 50])
    question = Question("the cat", ("s sat", " sat"), 0, "", "")
    before, tails = _split(tokenizer, question)
    for choice, tail in zip(question.choices, tails, strict=True):
        assert [*before[1:], *tail] == tokenizer.encode(question.context + choice).tolist()
    assert before[0] == tokenizer.boundary


def test_two_models_are_compared_where_they_differ():
    question = Question("", ("a", "b"), 0, "", "")
    right, wrong, skipped = Answered(question, plain=True), Answered(question), Answered(question, skipped="unknown")
    found = beside([right] * 9 + [wrong, skipped], [wrong] * 8 + [right] * 3)
    assert found == {"questions": 10, "both": 1, "only_first": 8, "only_second": 1, "neither": 0,
                     "chance": pytest.approx(20 / 512)}  # fmt: skip
    assert beside([right, wrong], [wrong, right])["chance"] == 1.0

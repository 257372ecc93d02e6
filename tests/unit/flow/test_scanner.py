"""The scanner takes any bytes, and an edit changes only what it names."""

import hypothesis.strategies as some
import pytest
from hypothesis import example, given, settings

from treadle.flow.edits import Splice, apply, priority_splices, state_splices, title_splice
from treadle.flow.page import parse
from treadle.flow.scanner import decode, encode, scan
from treadle.flow.vocabulary import STATES

PIECES = some.sampled_from(
    [
        "- [ ] ", "- [x] ", "* [✅] ", "1. ", "- ### ", "## ", "# ", "⏳ ", "✅ ", "🔴 ", "🟡 To Do", "⏸️ ",
        "🔍 Planned",
        "**Status**: ", "**Priority**: High", "- **Goal**: x", "Title", "`code`", "```", "~~~", "<# a #>", "<# open",
        "#>", "<!--", "-->", " ^t-4f2a", "2025-04-03", "(In Progress)", "~~struck~~", "\t", "    ", "  ", "\n", "\r\n",
        "\n\n", "\ufeff", "\udcff", "(", ")", ":", "[a](b.md)", "é", "- ", "* * *", "---",
    ]
)  # fmt: skip
TEXTS = some.lists(PIECES, max_size=60).map("".join)


@given(some.binary(max_size=400))
@example(b"\xef\xbb\xbf- [ ] a\r\n\xff\xfe- [x] b")
@settings(max_examples=300, deadline=None)
def test_no_edit_leaves_identical_bytes(data):
    text = decode(data)
    lines = scan(text)
    assert encode(text) == data
    assert "".join(text[line.start : line.next] for line in lines) == text
    assert encode(apply(parse("x.md", text).text, [])) == data


@given(TEXTS)
@settings(max_examples=300, deadline=None)
def test_the_lines_cover_the_text_without_gaps(text):
    at = 0
    for number, line in enumerate(scan(text), 1):
        assert (line.number, line.start) == (number, at)
        assert line.start <= line.body <= line.end <= line.next
        assert "\n" not in text[line.start : line.end]
        at = line.next
    assert at == len(text)


@given(TEXTS, some.data())
@settings(max_examples=300, deadline=None)
def test_an_edit_of_a_task_leaves_every_other_line_byte_for_byte(text, data):
    page = parse("x.md", text)
    if not page.tasks:
        return
    task = data.draw(some.sampled_from(page.tasks))
    what = data.draw(some.sampled_from(["title", "priority", *STATES]))
    if what == "title":
        splices = [title_splice(task, "Another")]
    elif what == "priority":
        splices = priority_splices(page, task, "low")
    else:
        splices = state_splices(page, task, what, "2026-11-22")
    own = {task.line, *(one.line for one in task.fields)}
    after = encode(apply(page.text, splices)).split(b"\n")
    before = encode(page.text).split(b"\n")
    if len(after) == len(before):
        assert {index for index, row in enumerate(before) if after[index] != row} <= own
    else:  # a bare status such as `- 🔍 Planned` is a line of its own and goes with the status
        kept = [row for index, row in enumerate(before) if index not in own]
        rest = iter(after)
        assert all(any(row == other for other in rest) for row in kept)


@given(TEXTS, some.data())
@settings(max_examples=300, deadline=None)
def test_after_the_edit_the_task_says_what_was_asked(text, data):
    page = parse("x.md", text)
    boxed = [task for task in page.tasks if task.place.shape.box is not None and "\n" not in task.written]
    if not boxed:
        return
    task = data.draw(some.sampled_from(boxed))
    state = data.draw(some.sampled_from(["done", "open", "dropped", "blocked", "in progress"]))
    after = parse("x.md", apply(text, state_splices(page, task, state, "2026-11-22")))
    same = next(one for one in after.tasks if one.line == task.line)
    if state in ("done", "dropped"):
        assert same.state == state
    else:
        assert not same.closed


def kinds(text):
    return [line.kind for line in scan(text)]


def test_what_stands_in_a_fence_is_no_task():
    text = "- [ ] a\n  ```\n  - [ ] no task\n  ```\n- [ ] b\n"
    assert kinds(text) == ["item", "code", "code", "code", "item"]
    assert [task.title for task in parse("x", text).tasks] == ["a", "b"]


def test_a_fence_ends_only_with_as_many_signs_of_its_kind():
    assert kinds("````\n```\n~~~~\n- [ ] x\n````\n- [ ] y") == ["code", "code", "code", "code", "code", "item"]


def test_code_in_a_line_opens_no_fence():
    assert kinds("``` a ``` b\n- [ ] x") == ["text", "item"]


def test_a_comment_goes_over_line_ends_until_it_closes():
    assert kinds("- [x] a <# one\n two #>\n- [ ] b") == ["item", "comment", "item"]


def test_a_comment_that_never_ends_does_not_hide_what_follows():
    assert kinds("- [x] a <# one\n- [ ] b\n\n- [ ] c") == ["item", "item", "blank", "item"]
    assert kinds("<!-- never\n- [ ] b") == ["text", "item"]


def test_what_stands_in_an_html_comment_is_no_task():
    assert [task.title for task in parse("x", "<!-- template:\n- [ ] not this\n-->\n- [ ] this\n").tasks] == ["this"]


def test_a_rule_is_no_item():
    assert kinds("* * *\n---\n- - -\n***") == ["text", "text", "text", "text"]


def test_a_tab_is_as_wide_as_four_columns():
    page = parse("x", "- [ ] a\n\t- [ ] b\n  \t- [ ] c\n")
    assert [task.place.shape.indent for task in page.tasks] == [0, 4, 4]
    assert [task.parent.title if task.parent else None for task in page.tasks] == [None, "a", "a"]


def test_a_byte_order_mark_stands_in_no_ones_way():
    page = parse("x", decode(b"\xef\xbb\xbf- [ ] first\r\n- [ ] second"))
    assert [task.title for task in page.tasks] == ["first", "second"]
    after = apply(page.text, state_splices(page, page.tasks[0], "done", "2026-11-22"))
    assert encode(after) == "\ufeff- [x] first ✅ 2026-11-22\r\n- [ ] second".encode()


def test_a_splice_may_not_overlap_another():
    with pytest.raises(ValueError, match="overlap"):
        apply("abc", [Splice(0, 2, "x"), Splice(1, 3, "y")])

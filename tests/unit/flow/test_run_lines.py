"""What runs write: once, never over a person's word, and checked against what the task asks for."""

import pytest

from treadle.flow.acceptance import figures_of, judge
from treadle.flow.checks.catalog import chosen, findings_of
from treadle.flow.run_lines import RunFact, tell
from treadle.flow.verbs import Outcome

RUN = "r-01kaf3v2m9x7c5ab"
STARTED = RunFact(RUN, "t-4f2a", "train", "started", {})
DONE = RunFact(RUN, "t-4f2a", "train", "done", {"bits_per_byte": 2.2654, "step": 454.0})
FAILED = RunFact(RUN, "t-4f2a", "train", "failed", {}, "no memory\nleft")


def write(notes, fact, said=None):
    states = []

    def verb(draft):
        states.append(tell(draft, fact, said))
        return Outcome("", "", 0)

    notes.do(verb)
    return states[0]


@pytest.fixture
def task(notes):
    notes.write("active/tasks.md", "## Active\n\n- [ ] Train bard ^t-4f2a\n\n## Log\n")
    return notes


def test_a_run_says_that_it_started_and_that_it_is_done(task):
    assert write(task, STARTED) == "in progress"
    assert "- [ ] ⏳ Train bard <# run r-01kaf3v2m9x7c5ab started 2026-11-22T10:00Z #> ^t-4f2a\n" in task.read()
    assert write(task, DONE, "in progress") == "done"
    text = task.read()
    assert (
        "- [x] Train bard ✅ 2026-11-22 <# run r-01kaf3v2m9x7c5ab done 2026-11-22T10:00Z, bits_per_byte 2.265,"
        " step 454 #> ^t-4f2a\n"
    ) in text
    assert text.count("Run r-01kaf3v2m9x7c5ab (train) for `Train bard`: done") == 1


def test_telling_twice_changes_nothing(task):
    write(task, STARTED)
    write(task, DONE, "in progress")
    text = task.read()
    write(task, DONE, "in progress")
    assert task.read() == text


def test_a_failed_run_blocks_its_task_and_says_why(task):
    write(task, STARTED)
    assert write(task, FAILED, "in progress") == "blocked"
    assert "- [ ] 🚩 Train bard <# run r-01kaf3v2m9x7c5ab failed 2026-11-22T10:00Z: no memory left #>" in task.read()


def test_a_hand_edit_is_never_overwritten_and_becomes_a_finding(task):
    write(task, STARTED)
    edited = task.read().replace("- [ ] ⏳", "- [-]")
    task.write("active/tasks.md", edited)
    assert write(task, DONE, "in progress") == "in progress"
    assert "- [-] Train bard <# run r-01kaf3v2m9x7c5ab done" in task.read()
    (finding,) = findings_of(task.draft, chosen("F01", ""))
    assert "is dropped, but run r-01kaf3v2m9x7c5ab says done" in finding.message


def test_a_task_that_was_finished_by_hand_before_the_run_stays_so(task):
    task.write("active/tasks.md", task.read().replace("- [ ]", "- [x]"))
    assert write(task, FAILED) is None
    assert "- [x] Train bard <# run r-01kaf3v2m9x7c5ab failed" in task.read()


def test_a_task_that_is_gone_leaves_a_line_in_the_log(task):
    task.write("active/tasks.md", "## Log\n")
    write(task, DONE, "in progress")
    assert "ended done; its task ^t-4f2a is no longer in the notes" in task.read()


@pytest.mark.parametrize(
    ("condition", "state", "said"),
    [
        ("bits_per_byte < 2.3", "done", "done"),
        ("bits_per_byte <= 2.2 and step >= 400", "in progress", "not yet done: bits_per_byte is 2.265, not <= 2.2"),
        ("`accuracy` > 0.9", "in progress", "not yet done: the run gives no accuracy"),
        ("it feels right", "in progress", "not yet done: `it feels right` is no condition that a run can check"),
    ],
)
def test_a_task_says_when_it_is_done_and_the_run_is_held_to_it(task, condition, state, said):
    task.write("active/tasks.md", task.read().replace("^t-4f2a\n", f"^t-4f2a\n  - **Done when**: {condition}\n"))
    assert write(task, DONE, None) == state
    assert said in task.read()


def test_conditions_are_read_with_all_their_signs():
    figures = {"a": 1.0, "b": 2000.0}
    for text in ("a = 1", "a == 1.0", "a ≤ 1", "a >= 1; b > 1,999", "b >= 2_000, a < 1.5e0", ""):
        assert judge(text, figures).met, text
    assert judge(None, figures).met
    assert not judge("a ≥ 1.1", figures).met


def test_figures_are_all_finite_numbers_by_name():
    result = {"loss": 1.5, "ok": True, "best": {"loss": 1.4, "step": 3}, "bad": float("nan"), "name": "x"}
    assert figures_of(result) == {"loss": 1.5, "best.loss": 1.4, "best.step": 3.0, "step": 3.0}


def test_a_task_that_is_taken_up_again_keeps_its_run_as_an_earlier_one(task):
    from treadle.flow import verbs

    write(task, STARTED)
    write(task, DONE, "in progress")
    task.do(verbs.reopen, "train bard")
    assert "- [ ] Train bard <# earlier run r-01kaf3v2m9x7c5ab done" in task.read()
    assert findings_of(task.draft, chosen("F01", "")) == []

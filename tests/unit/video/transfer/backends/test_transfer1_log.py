"""What lines of the target's log tell, and what its ends mean."""

import pytest

from treadle.video.transfer.backends.backend import Ended
from treadle.video.transfer.backends.said import event_of as said
from treadle.video.transfer.backends.transfer1_log import event_of, last_error, outcome_of
from treadle.video.transfer.backends.transfer25_cli import BACKEND as NEWER

LINES = [
    ("\x1b[32m2026\x1b[0m | INFO | a:b:1 - Starting diffusion sampling", ("stage", {"stage": "sampling"})),
    ("  33%|###       | 1/3 [00:10<00:20, 10.1s/it]", ("clip", {"done": 1, "total": 3})),
    ("sampler step 7/35", ("step", {"step": 7, "total": 35})),
    ("x - Running batch generation with batch_size=4", ("batch", {"size": 4})),
    ("x - Input text prompt 2 is not safe", ("blocked", {"place": 1, "what": "prompt"})),
    ("x - Generated video 1 is not safe", ("blocked", {"place": 0, "what": "video"})),
    ("x - Saved video to /a b/outputs/video_12/output.mp4", ("item", {"item": 12})),
    ("x - Saved video to /outputs/output.mp4", ("item", {"item": 0})),
    ("something else", None),
]


@pytest.mark.parametrize(("line", "told"), LINES)
def test_a_line_tells_what_happens(line, told):
    found = event_of(line)
    assert (found and (found.type, dict(found.data))) == told


ENDS = [
    (0, "", (), ("done", False, False)),
    (0, "", (0,), ("failed", False, False)),
    (1, "Guardrail blocked generation for entire batch.", (0,), ("blocked", False, False)),
    (None, "whatever", (0,), ("unknown", False, False)),
    (None, "whatever", (), ("unknown", False, False)),
    (1, "torch.OutOfMemoryError: CUDA out of memory.", (0,), ("failed", False, True)),
    (137, "", (0,), ("failed", False, True)),
    (1, "exitcode  : -9 (pid: 12)\ntorch...ChildFailedError:", (0,), ("failed", False, True)),
    (1, "OSError: [Errno 28] No space left on device", (0,), ("failed", False, False)),
    (1, "RuntimeError: NCCL error in: x.cpp", (0,), ("failed", True, False)),
    (143, "", (0,), ("failed", True, False)),
    (2, "error: unrecognized arguments: --x", (0,), ("failed", False, False)),
]


@pytest.mark.parametrize(("code", "log", "missing", "meaning"), ENDS)
def test_an_end_is_what_code_log_and_videos_say_together(code, log, missing, meaning):
    found = outcome_of(Ended(code, log, missing))
    assert (found.ending, found.transient, found.out_of_memory) == meaning
    assert found.reason or found.ending == "done"


def test_all_that_the_log_named_as_refused_is_and_nothing_that_is_there():
    assert outcome_of(Ended(0, "", (1, 3), (1, 2))).refused == (1,)


def test_the_error_is_the_programs_own_not_its_launchers():
    log = "[rank0]: ValueError: bad input\ntorch.distributed.elastic.multiprocessing.errors.ChildFailedError: \n====\n"
    assert last_error(log) == "ValueError: bad input"
    assert last_error("no exception\r\n\n") == "no exception"
    assert last_error("") == "its log is empty."


def test_lines_of_ours_may_be_damaged():
    assert said('@treadle {"type": "step", "step": 1}').data == {"step": 1}
    for line in ("@treadle {", "@treadle []", "@treadle {}", '@treadle {"type": "item", "item": "x"}', "treadle {}"):
        assert said(line) is None


def test_the_newer_targets_bars_are_steps_and_its_samples_batches_of_one():
    told = [
        NEWER.event(line)
        for line in (
            "[2/3] Processing sample video_1",
            " 50%|#####     | 1/2 [00:01<00:01]",
            "Guardrail blocked generation. Negative prompt: fog",
            "Generated video saved to /o/output_001.mp4",
            "Running guardrail check on prompt...",
        )
    ]
    assert [event and event.type for event in told] == ["batch", "step", "blocked", "item", None]
    assert told[2].data["what"] == "negative text"


def test_a_video_that_the_newer_target_looked_at_and_neither_passed_nor_saved_was_refused():
    log = """[1/3] Processing sample video_0
Running guardrail check on video...
Passed guardrail on generated video
Generated video saved to /o/video_0.mp4
[2/3] Processing sample video_1
Running guardrail check on video...
[3/3] Processing sample video_2
Guardrail blocked generation. Prompt: bad
"""
    outcome = NEWER.outcome(Ended(0, log, missing=[1, 2], blocked=[2]))
    assert (outcome.ending, outcome.refused) == ("blocked", (1, 2))
    assert NEWER.outcome(Ended(1, "Running guardrail check on video...\n", missing=[0])).ending == "failed"
    assert NEWER.outcome(Ended(0, log, missing=[])).ending == "done"

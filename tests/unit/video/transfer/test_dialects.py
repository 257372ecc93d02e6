"""What each target is sent: everything that was asked for, or a word about what is not."""

import json
from fractions import Fraction

import numpy as np
import pytest

from treadle.base.errors import UsageError
from treadle.video.frames import FrameWriter, probe, read_frames
from treadle.video.transfer.dialects.catalog import DIALECTS
from treadle.video.transfer.dialects.inputs import ControlMap, MaskVideo, Piece
from treadle.video.transfer.dialects.written import lay_down

NVIDIA = ("transfer1", "transfer25", "diffusers")
EDGE = {"video": "short.mp4", "controls": {"edge": {"weight": 0.6}}}
SEG = {"video": "short.mp4", "controls": {"seg": {"weight": 0.6}}}
VIS = {"video": "short.mp4", "controls": {"vis": 0.6}}


def _edge(**control):
    return {"controls": {"edge": {"weight": 0.6, **control}}}


OPTIONS = {
    "text": (EDGE, {"text": "Another text altogether, about a quiet harbour in the fog at dawn."}),
    "negative": (EDGE, {"negative": "fog"}),
    "no negative": (EDGE, {"negative": ""}),
    "seed": (EDGE, {"seed": 2}),
    "steps": (EDGE, {"steps": 20}),
    "guidance": (EDGE, {"guidance": 6}),
    "part of a guidance": (EDGE, {"guidance": 6.5}),
    "sigma": (EDGE, {"sigma": 50}),
    "fps": (EDGE, {"fps": 30}),
    "frames": (EDGE, {"frames": 4}),
    "overlap": (EDGE, {"overlap": 2}),
    "distilled": (EDGE, {"distilled": True}),
    "style": (EDGE, {"style": "left.png"}),
    "edges": (EDGE, {"edges": "high"}),
    "blur": (VIS, {"blur": "high"}),
    "strength": (EDGE, _edge(strength="low")),
    "weight": (EDGE, _edge(weight=0.7)),
    "weight 0": (EDGE, _edge(weight=0)),
    "schedule": (EDGE, _edge(weight="0:0.6 4:0.7")),
    "adaptive": (EDGE, _edge(weight="adaptive")),
    "mask": (EDGE, _edge(weight={"mask": "left.png", "inside": 0.6})),
    "outside": ({**EDGE, **_edge(weight="left.png")}, _edge(weight={"mask": "left.png", "outside": 0.1})),
    "map": (EDGE, _edge(map="depth.mp4")),
    "another control": (EDGE, {"controls": {"edge": 0.6, "vis": 0.1}}),
    "subject": (SEG, {"controls": {"seg": {"weight": 0.6, "subject": "car"}}}),
    "weight subject": (SEG, {"controls": {"seg": {"weight": 0.6, "weight_subject": "car"}}}),
}


def _outcome(dialect, spec):
    """All that a target gets: documents, files and arguments; what is unsaid; or the refusal."""
    try:
        written = DIALECTS.get(dialect).write([spec], "/run")
    except UsageError as error:
        return str(error)
    return {name: repr(content) for name, content in written.files.items()}, written.runs, written.unsaid


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("dialect", NVIDIA)
def test_each_option_changes_what_is_sent_or_is_said_not_to(read, dialect, option):
    base, change = OPTIONS[option]
    before, after = _outcome(dialect, read(base)), _outcome(dialect, read(base, **change))
    assert before != after or isinstance(after, str), "sent alike, and nobody was told"


def test_what_is_sent_is_what_the_targets_own_parser_accepted(read, sent, requests, batches, accepted):
    known = {path.stem: json.loads(path.read_text()) for path in accepted.glob("*.json")}
    specs = {name: [read(name, negative=table.get("negative", "fog"))] for name, table in requests.items()}
    specs["batch"] = [read({"video": "short.mp4", **table}, negative="fog") for table in batches]
    assert set(known) == set(specs)
    for name, together in specs.items():
        written = DIALECTS.get("transfer1").write(together, "/run")
        assert sent(written) == known[name]["documents"], f"{name}: have it accepted again (docs/decisions, record 62)"
        assert [list(run.arguments) for run in written.runs] == known[name]["arguments"]
        assert sorted(written.files) == known[name]["files"]


def test_the_first_target_is_never_given_what_it_stumbles_over(read, sent, requests):
    dialect = DIALECTS.get("transfer1")
    for name in requests:
        written = dialect.write([read(name)], "/run/")
        for run in written.runs:
            assert not [word for word in run.arguments if "=" in word or word == "--seed"], "`--seed=5` does not count"
            assert "//" not in " ".join(run.arguments)
        for document in sent(written).values():
            assert document["negative_prompt"].strip() or document["negative_prompt"] == " "
            for kind in {"edge", "vis"} & set(document):
                assert "input_control" in document[kind], "its own maps ignore the strength"
            weights = [document[kind]["control_weight"] for kind in document if isinstance(document[kind], dict)]
            assert all(weight == "0.0" or weight for weight in weights), "the number 0 would count as 1"
    batch = dialect.write([read(EDGE), read(EDGE, text="Another text.")], "/run").files["batch.jsonl"]
    assert [bool(json.loads(line)) for line in batch.decode().split("\n")] == [True, True]


def test_weights_that_change_over_several_clips_make_each_a_run_with_its_own_seed(read, sent):
    spec = read("schedule-over-clips", seed=5)
    written = DIALECTS.get("transfer1").write([spec], "/run")
    assert [(run.first, run.frames, run.outputs) for run in written.runs] == [
        (0, 121, ("outputs/output_000.mp4",)),
        (120, 2, ("outputs/output_001.mp4",)),
    ]
    first, second = sent(written).values()
    assert (first["seed"], second["seed"]) == (5, 6)
    assert written.files["inputs/video_001.mp4"] == Piece(spec.video.path, 120, 2)
    assert written.files["inputs/edge_001.mp4"].first == 120
    assert "run of its own" in written.remarks[0]
    with pytest.raises(UsageError, match="takes 2 runs"):
        _ = written.arguments
    still = DIALECTS.get("transfer1").write([read("still-mask-over-clips")], "/run")
    assert still.arguments[1] == "/run/spec.json"  # one map for all clips fits into one run


def test_an_item_of_a_batch_is_sent_just_what_it_would_be_sent_alone(read):
    specs = [
        read({"video": "short.mp4", "controls": {"edge": {"weight": 0.6, "strength": "low"}, "seg": 0.3}}),
        read({"video": "depth.mp4", "controls": {"edge": "left.png", "seg": {"weight": 1, "subject": "car"}}}),
        read({"video": "short.mp4", "controls": {"edge": 0, "seg": {"weight": 0.1, "map": "depth.mp4"}}}, text="More."),
    ]
    for name, video, prompt in (("transfer1", "visual_input", "prompt"), ("transfer25", "video_path", "prompt")):
        dialect = DIALECTS.get(name)
        batch = dialect.write(specs, "/run")
        rows = [json.loads(line) for line in batch.files["batch.jsonl"].splitlines()]
        assert len(batch.runs) == 1
        assert len(batch.runs[0].outputs) == 3
        shared = json.loads(batch.files["spec.json"]) if "spec.json" in batch.files else {}
        for spec, row in zip(specs, rows, strict=True):
            alone = dialect.write([spec], "/run")
            document = json.loads(alone.files["spec.json"])
            assert row[prompt] == document["prompt"]
            path = "input_video_path" if name == "transfer1" else video
            assert _content(batch, row[video]) == _content(alone, document[path])
            overrides = row["control_overrides"] if name == "transfer1" else row
            for kind in spec.kinds:
                merged = {**shared.get(kind, {}), **overrides[kind]}
                told = {key: _content(batch, value) for key, value in merged.items() if value is not None}
                assert told == {key: _content(alone, value) for key, value in document[kind].items()}
            same = {key for key in document if key in shared and key not in (path, "prompt", *spec.kinds)}
            assert all(document[key] == shared[key] for key in same)


def _content(written, value):
    """A file's content in place of its path."""
    known = value.removeprefix("/run/") if isinstance(value, str) else None
    return repr(written.files[known]) if known in written.files else value


@pytest.mark.parametrize("change", [{"seed": 2}, {"negative": "fog"}, {"steps": 5}, {"fps": 30}, {"sigma": 60}])
def test_requests_that_differ_in_what_a_batch_shares_are_not_put_together(read, change):
    dialect = DIALECTS.get("transfer1")
    specs = [read(EDGE), read(EDGE, **change)]
    assert dialect.shared(specs[0]) != dialect.shared(specs[1])
    with pytest.raises(UsageError, match="differ in what a batch shares"):
        dialect.write(specs, "/run")
    alone = [read(name) for name in ("schedule-over-clips", "maps-alone", "enlarged")]
    assert [dialect.shared(spec) for spec in alone] == [None] * 3
    with pytest.raises(UsageError, match="one by one"):
        dialect.write([alone[0], alone[0]], "/run")
    other = DIALECTS.get("transfer25")
    assert other.shared(specs[0]) == other.shared(specs[1])
    with pytest.raises(UsageError, match="other controls"):
        other.write([read(EDGE), read(VIS)], "/run")
    with pytest.raises(UsageError, match="One call makes one video"):
        DIALECTS.get("diffusers").write(specs, "/run")


@pytest.mark.parametrize(
    ("dialect", "table", "says"),
    [
        ("transfer1", {**EDGE, "frames": 1}, "2 to 5000 frames, not 1"),
        ("transfer1", {"controls": {"depth": {"weight": 1, "map": "depth.mp4"}}}, "sigma=80 or more"),
        ("transfer1", {**VIS, "distilled": True}, "edge control alone"),
        ("transfer1", {"video": "short.mp4", "controls": {"upscale": "0:0 4:1"}}, "upscale is one number"),
        (
            "transfer1",
            {"video": "short.mp4", "controls": {"edge": 1, "lidar": {"weight": 1, "map": "depth.mp4"}}},
            "knows no other control",
        ),
        ("transfer25", {**EDGE, "guidance": 9}, "from 0 to 7, not 9"),
        ("transfer25", {**EDGE, "overlap": 4}, "not 4"),
        ("transfer25", {**VIS, "style": "left.png"}, "leave one out"),
        ("transfer25", {"video": "long.mp4", "overlap": 0, **_edge(weight="92:0.2 93:0.8")}, "overlap=1, not 0"),
        ("transfer25", {**EDGE, **_edge(weight="0:0 4:1")}, "changes inside a clip"),
        ("transfer25", {**EDGE, **_edge(weight={"mask": "left.png", "outside": 0.2})}, "its weight is 0, not 0.2"),
        ("transfer25", {"controls": {"depth": {"weight": 1, "map": "depth.mp4"}}}, "needs a video"),
        ("transfer25", {**EDGE, "style": "look.webp"}, "PNG or JPEG, not look.webp"),
        ("transfer25", {**EDGE, "video": "still.mp4"}, "a picture, not a video"),
        (
            "transfer25",
            {"video": "short.mp4", "controls": {"edge": "left.png", "vis": 2}},
            "vis reaches from 0 to 1, not to 2",
        ),
        ("transfer25", {"video": "short.mp4", "controls": {"keypoint": 1}}, "not keypoint"),
        ("diffusers", {"video": "short.mp4", "controls": {"edge": 1, "vis": 1}}, "takes one control, not 2"),
        ("diffusers", {"video": "short.mp4", "controls": {"depth": 1}}, "no map of depth"),
        ("diffusers", {**EDGE, **_edge(weight="left.png")}, "one number for the whole video"),
        ("diffusers", {"video": "short.mp4", "controls": {"keypoint": 1}}, "not keypoint"),
        ("diffusers", {**EDGE, "video": "still.mp4"}, "Of 1 frames it makes none at an overlap of 1"),
    ],
)
def test_what_a_target_cannot_do_is_refused_before_anything_runs(read, dialect, table, says):
    with pytest.raises(UsageError, match=f"{dialect} cannot|{dialect} makes") as refusal:
        DIALECTS.get(dialect).write([read(table)], "/run")
    assert says in str(refusal.value)


def test_the_second_target_gets_binary_masks_weights_that_it_scales_beside_them_and_the_seeds_it_would_draw(read, sent):
    table = {
        "video": "short.mp4",
        "controls": {"edge": {"weight": "left.png"}, "depth": {"weight": 1, "map": "depth.mp4"}},
    }
    written = DIALECTS.get("transfer25").write([read(table, style="left.png", sigma=200)], "/run")
    first = sent(written)["spec.json"]
    assert (first["edge"]["control_weight"], first["depth"]["control_weight"]) == (1.0, 1.0)
    everywhere = read({"video": "short.mp4", "controls": {"edge": 1, "depth": table["controls"]["depth"]}})
    document = sent(DIALECTS.get("transfer25").write([everywhere], "/run"))["spec.json"]
    assert (document["edge"]["control_weight"], document["depth"]["control_weight"]) == (0.5, 0.5)
    assert isinstance(written.files["inputs/edge_mask.mp4"], MaskVideo)
    assert "sigma_max" not in first
    assert first["image_context_path"] == "/run/inputs/style.png"
    change = read({"video": "long.mp4", "controls": {"edge": "92:0.2 93:0.2", "vis": 0.1}}, seed=2025)
    assert len(DIALECTS.get("transfer25").write([change], "/run").runs) == 1
    plan = DIALECTS.get("transfer25").plan(change)
    steps = read({"video": "long.mp4", "controls": {"edge": {"weight": "left.png"}}}, seed=2025, negative="")
    assert sent(DIALECTS.get("transfer25").write([steps], "/run"))["spec.json"]["negative_prompt"] == " "
    assert [clip.frames for clip in plan.clips] == [93, 30]
    apart = read({"video": "long.mp4", "controls": {"edge": "92:0.2 93:0.8"}}, seed=2025)
    first, second = sent(DIALECTS.get("transfer25").write([apart], "/run")).values()
    assert (first["edge"]["control_weight"], second["edge"]["control_weight"]) == (0.2, 0.8)
    assert (first["seed"], second["seed"]) == (2025, plan.clips[0].seed)  # draws what the second clip would have
    table = {"video": "long.mp4", "controls": {"depth": {"weight": {"adaptive": 1}, "map": "long-depth.mp4"}}}
    assert len(DIALECTS.get("transfer25").write([read(table)], "/run").runs) == 1


def test_the_second_target_gets_files_with_endings_that_it_knows_and_its_whole_clock_is_told(read):
    spec = read({"video": "film.m4v", "controls": {"depth": {"weight": 1, "map": "depth.mp4"}}}, fps=24)
    written = DIALECTS.get("transfer25").write([spec], "/run")
    assert written.files["inputs/video.mp4"] == Piece(spec.video.path, 0, 5)
    assert written.files["inputs/depth.mp4"] == spec.controls[0].map.path
    assert "Its clock knows whole frames a second: 23 where the input has 23.976." in written.remarks
    assert written.unsaid == ("fps=24: the result has the rate of the input, 23.",)


def test_the_librarys_guidance_counts_from_more_than_one_on(read):
    def unsaid(guidance):
        return DIALECTS.get("diffusers").write([read(EDGE, guidance=guidance)], "/run").unsaid

    assert unsaid(0.5) == ("guidance=0.5: it counts from more than 1 on, and is none below.",)
    assert (unsaid(0), unsaid(1.5)) == ((), ())


def test_derived_files_are_made_once_in_the_size_that_the_model_works_in(read, tmp_path):
    board = np.where(np.indices((360, 640)).sum(axis=0)[..., None] % 90 < 45, 220, 20).repeat(3, 2).astype(np.uint8)
    with FrameWriter(tmp_path / "board.mp4", Fraction(24), quality="lossless") as writer:
        for number in range(3):
            writer.write(np.roll(board, number, axis=1))
    table = {"video": str(tmp_path / "board.mp4"), "controls": {"edge": {"weight": "moving", "strength": "very_low"}}}
    spec = read(table, frames=2)
    written = DIALECTS.get("transfer1").write([spec], str(tmp_path))
    told = []
    found = lay_down(written, tmp_path, told.append)
    assert told == list(written.files)
    assert all(path.is_file() for path in found.values())
    facts = probe(found["inputs/edge.mp4"])
    assert (facts.width, facts.height, facts.frames) == (1280, 704, 2)
    values = np.unique(next(read_frames(found["inputs/edge.mp4"])))
    assert set(values.tolist()) == {0, 255}  # nothing is lost
    assert probe(found["inputs/video.mp4"]).frames == 2
    before = {name: path.stat().st_mtime_ns for name, path in found.items() if path.suffix in {".mp4", ".pt"}}
    again = lay_down(written, tmp_path)
    assert {name: again[name].stat().st_mtime_ns for name in before} == before
    ControlMap(spec.video.path, "vis", "very_high", 0, 1).write(tmp_path / "vis.mp4")
    (blurred,) = read_frames(tmp_path / "vis.mp4")
    assert blurred.shape == (704, 1280, 3)
    assert np.abs(np.diff(blurred[..., 0].astype(int), axis=1)).max() < 60  # the board's own steps are 200
    mask = MaskVideo(spec.controls[0].weight.path, spec.video.path, 1, 4)
    mask.write(tmp_path / "mask.mp4")
    shares = [float((frame > 127).mean()) for frame in read_frames(tmp_path / "mask.mp4")]
    assert shares == pytest.approx([40 / 64, 60 / 64, 60 / 64, 60 / 64], abs=0.01)

"""What a model of clips must hold, shown on one that has learned moving shapes for some seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest

torch = pytest.importorskip("torch")
cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed (extra `video`)")

from treadle.base.errors import UsageError  # noqa: E402
from treadle.data.bundled.shapes import shape_clips  # noqa: E402
from treadle.data.clip_data import ClipLoader  # noqa: E402
from treadle.data.clip_maps import blur_maps, edge_maps  # noqa: E402
from treadle.data.pixel_examples import examples_of  # noqa: E402
from treadle.models.catalog import FAMILIES  # noqa: E402
from treadle.models.video_flow.sampling import Flow, colours, generate  # noqa: E402
from treadle.models.video_flow.steering import Steering, pixels  # noqa: E402
from treadle.training.config import TrainingSettings  # noqa: E402
from treadle.training.learner import Update  # noqa: E402
from treadle.training.learners import Network, open_learner  # noqa: E402

if TYPE_CHECKING:
    from numpy.typing import NDArray

FRAMES, EDGE, STEPS = 4, 16, 320
PHRASES = ("on black", "on grey", "on teal", "on brown")
SETTINGS: dict[str, Any] = {"layers": 2, "width": 64, "heads": 2, "noise": 1.0}
PLAN = {"learner": "torch", "threads": 1, "precision": "fp32", "attention": "plain"}


class Shown(NamedTuple):
    """Clips that the model has not seen, and what steers towards them."""

    clips: NDArray[np.uint8]
    steering: Steering


def drawn(count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    found = list(shape_clips(count, seed, FRAMES, EDGE))
    bits = [sum(1 << place for place, one in enumerate(PHRASES) if clip.caption.endswith(one)) for clip in found]
    return np.stack([clip.frames for clip in found]), np.array(bits, np.int32)


@pytest.fixture(scope="module")
def module() -> Any:
    """Trained on one core for some seconds."""
    frames, bits = drawn(300, 1)
    train = [(0, row, target) for row, target in enumerate(bits.tolist())]
    loader = ClipLoader(examples_of([frames], train), examples_of([frames], []), 1)
    family = FAMILIES.get("video_flow")
    network = Network(family, family.config_class().model_validate(SETTINGS), len(PHRASES), FRAMES)
    rates = {"name": "muon", "matrix_learning_rate": 0.03, "learning_rate": 0.004, "embedding_learning_rate": 0.004}
    settings = TrainingSettings.model_validate({"learner": "torch", "precision": "fp32", "optimizer": rates})
    learner = open_learner(network, settings, PLAN)
    learner.load_weights(family.initial_weights(network.config, network.vocabulary, network.context, 1))
    batches = [loader.batch(16 * number, 16) for number in range(60)]
    for step in range(1, STEPS + 1):
        learner.step([batches[step % 60]], Update(step, min(1, step / 10, 1.25 * (1 - step / (STEPS + 1))), 1.0))
    made = family.build_model(network.config, network.vocabulary, FRAMES)
    made.load_state_dict({name: torch.tensor(array) for name, array in learner.weights().items()})
    learner.close()
    return made


@pytest.fixture(scope="module")
def shown() -> Shown:
    clips, bits = drawn(24, 77)
    edges = torch.tensor(np.stack([edge_maps(clip, "medium") for clip in clips])).float() / 255
    blur = pixels(torch.tensor(np.stack([blur_maps(clip, "medium") for clip in clips])))
    known = torch.tensor([[float(one >> place & 1) for place in range(len(PHRASES))] for one in bits.tolist()])
    full = torch.ones_like(edges)
    return Shown(clips, Steering(edges, full, blur, full * 0, torch.zeros(len(clips), FRAMES, 1, 1, 1), known))


def made(module: Any, steering: Steering, *, steps: int = 8, **more: Any) -> NDArray[np.uint8]:
    seeds = range(100, 100 + len(steering.edges))
    found: NDArray[np.uint8] = colours(generate(module, steering, seeds, Flow(steps), **more)).numpy()
    return found


def agreement(clips: NDArray[np.uint8], steering: Steering) -> float:
    """How well edges of clips lie on those of the maps, one pixel to the side allowed (F1)."""
    near = np.ones((3, 3), np.uint8)
    hits = np.zeros(4)
    for clip, wanted in zip(clips, steering.edges.numpy(), strict=True):
        for found, asked in zip(edge_maps(clip, "medium")[..., 0] // 255, wanted[..., 0].astype(np.uint8), strict=True):
            hits += [
                (found & cv2.dilate(asked, near)).sum(),
                found.sum(),
                (asked & cv2.dilate(found, near)).sum(),
                asked.sum(),
            ]
    precision, recall = hits[0] / max(1, hits[1]), hits[2] / max(1, hits[3])
    return float(2 * precision * recall / max(1e-9, precision + recall))


def test_agreement_rises_with_the_weight_of_the_edges(module: Any, shown: Shown) -> None:
    found = []
    for weight in (0.0, 0.3, 1.0):
        steering = shown.steering._replace(edge_weight=shown.steering.edge_weight * weight)
        found.append(agreement(made(module, steering), shown.steering))
    assert found[0] + 0.02 < found[1] < found[2] - 0.02


def test_another_clips_edges_lower_the_agreement(module: Any, shown: Shown) -> None:
    other = shown.steering._replace(edges=shown.steering.edges.roll(1, 0))
    right, wrong = made(module, shown.steering), made(module, other)
    assert agreement(wrong, shown.steering) < agreement(right, shown.steering) - 0.2
    assert agreement(wrong, other) > agreement(wrong, shown.steering) + 0.2


def test_colours_follow_the_blurred_picture_and_the_phrases(module: Any, shown: Shown) -> None:
    free = shown.steering._replace(edge_weight=shown.steering.edge_weight * 0)
    blurred = free._replace(blur_weight=torch.ones_like(free.blur_weight))
    far = {name: np.abs(made(module, one) - shown.clips.astype(int)).mean() for name, one in [("blur", blurred)]}
    other = blurred._replace(blur=blurred.blur.roll(1, 0))
    assert far["blur"] < np.abs(made(module, other) - shown.clips.astype(int)).mean() * 0.8
    grounds = []
    for place in (0, 1):  # on black, on grey
        phrases = torch.zeros_like(free.phrases)
        phrases[:, place] = 1
        grounds.append(float(np.median(made(module, free._replace(phrases=phrases)))))
    assert grounds[0] + 30 < grounds[1]


def test_frames_that_are_given_stay_and_make_the_seam_smaller(module: Any, shown: Shown) -> None:
    free = shown.steering._replace(edge_weight=shown.steering.edge_weight * 0)
    given = torch.zeros_like(free.given)
    given[:, :2] = 1
    before = pixels(torch.tensor(shown.clips[:, [2, 3, 3, 3]]))  # the last two frames of a clip begin the next one
    after = made(module, free._replace(given=given), frames=before)
    np.testing.assert_array_equal(after[:, :2], shown.clips[:, 2:])
    alone = made(module, free)
    usual = np.abs(np.diff(shown.clips.astype(int), axis=1)).mean()
    seams = [np.abs(clip.astype(int) - shown.clips[:, 3]).mean() / usual for clip in (after[:, 2], alone[:, 0])]
    assert seams[0] < seams[1] * 0.5


def test_a_clip_hangs_on_its_own_seed_and_steering_alone(module: Any, shown: Shown) -> None:
    first = Steering(*(part[:1] for part in shown.steering))
    together, alone = made(module, shown.steering, steps=3), made(module, first, steps=3)
    assert np.abs(together[0].astype(int) - alone[0]).max() <= 1  # products of other shapes round differently
    np.testing.assert_array_equal(alone, made(module, first, steps=3))
    near = colours(generate(module, first, [1], Flow(3, sigma=0.02), start=pixels(torch.tensor(shown.clips[:1]))))
    assert np.abs(near.numpy().astype(int) - shown.clips[:1]).mean() < 20


def test_what_has_no_weight_cannot_be_seen_and_guidance_leads_away_from_negative_phrases(
    module: Any, shown: Shown
) -> None:
    first = Steering(*(part[:1] for part in shown.steering))
    none = first._replace(edge_weight=first.edge_weight * 0)
    np.testing.assert_array_equal(
        made(module, none, steps=2), made(module, none._replace(edges=1 - none.edges, blur=-none.blur), steps=2)
    )
    guesses: list[int] = []
    flow = Flow(3, guidance=3.0)
    plain = generate(module, first, [1], flow, watch=lambda step, _: guesses.append(step))
    away = generate(module, first, [1], flow, negative=1 - first.phrases)
    assert guesses == [1, 2, 3]
    assert not torch.equal(plain, away)
    same = generate(module, first, [1], Flow(3, guidance=1.0), negative=1 - first.phrases)
    assert torch.equal(same, generate(module, first, [1], Flow(3, guidance=1.0)))


def test_frames_that_no_patch_divides_are_refused() -> None:
    family = FAMILIES.get("video_flow")
    with pytest.raises(UsageError, match=r"not a multiple of family\.patch_frames=4"):
        family.build_model(family.config_class().model_validate(SETTINGS), 4, 6)

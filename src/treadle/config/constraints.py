"""What may change on a model that has weights: one table, and the function that applies it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from treadle.config.tree import CALL, COMMAND_LINE, Origin, entry, leaves, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from treadle.config.settings import Settings


@dataclass(frozen=True, slots=True)
class Rule:
    """A key that is fixed once there are weights, or fixed under a condition, and why."""

    key: str
    """Dotted key; a section stands for all below it."""
    because: str
    allows: Callable[[Any, Any, Settings], bool] = lambda _old, _new, _settings: False
    """Whether this change (old value, new value, old settings) is possible all the same."""
    possible: str = "no"
    """Which changes are possible, in a few words."""
    way_out: str = ""
    """What to do instead, beside making another model: a sentence and a space."""


def _within_learned_positions(old: int, new: int, settings: Settings) -> bool:
    return new <= old or getattr(settings.family, "positions", None) != "learned"


FREE = ("family.dropout",)
"""Keys below a fixed section that may change: they shape the training, not the weights."""

RULES = (
    Rule(
        "family.layers",
        "fewer would lose what the others have learned",
        possible="more, by `treadle set`",
        way_out="Layers are added without loss by `treadle set NAME family.layers=+N`. ",
    ),
    Rule("family.attention", "the weights have learned to look at a text in this way"),
    Rule("family.attention_window", "the weights have learned to look this far back"),
    Rule("family", "the shape of the weights is fixed once they exist"),
    Rule(
        "data.tokenizer",
        "the weights were trained on its token ids",
        lambda old, new, _settings: "auto" in {old, new},  # the data room holds it against what was decided
    ),
    Rule(
        "data.held_out",
        "text that the model has trained on would count as held out; only a smaller share is possible",
        lambda old, new, _settings: bool(new <= old),
        possible="a smaller share",
    ),
    Rule(
        "data.sequence_length",
        "this model learned a vector for each position and has none beyond its trained context",
        _within_learned_positions,
        possible="yes; shorter only with learned positions",
    ),
    Rule("data.image_size", "the network sees pictures of the size that it was first trained on"),
    Rule("data.clip_frames", "the network sees as many frames as it was first trained on"),
    Rule("training.optimizer.name", "the checkpoints hold the state of this optimizer"),
    Rule("training.seed", "the reading order hangs on it, and the pass under way would read some text twice"),
)


def changes_refused(old: Settings, new: Settings) -> list[str]:
    """Say, for each change from `old` to `new` that a model with weights cannot follow, which it is and why.

    `old` are the settings that the weights were trained with. An empty list means that all changes are possible.
    """
    before, after = (dict(leaves(entry(settings.values(), Origin("")))) for settings in (old, new))
    refused: list[str] = []
    for key in dict.fromkeys([*before, *after]):
        rule = _rule(key)
        was, becomes = (plain(tree[key]) if key in tree else None for tree in (before, after))
        if rule is None or was == becomes or rule.allows(was, becomes, old):
            continue
        origin = new.origins.get(key)
        place = "" if origin is None else f" ({origin})"
        refused.append(
            f"`{key}` cannot change from {was} to {becomes}{place}: {rule.because}. "
            f"{rule.way_out}Leave it at {was}, or make another model with `treadle new NAME {key}={becomes}`."
        )
    return refused or _presets_refused(old, new)


def _presets_refused(old: Settings, new: Settings) -> list[str]:
    """A model's card holds on to its shape, so another preset would silently take effect by half."""
    return [
        f"The preset of {group} cannot change from {old.choices[group].name} to {chosen.name} ({chosen.origin}): "
        "it is chosen when a model is made, since it fixes the shape of the weights. Set single keys instead, or make "
        f"another model with `treadle new NAME --{group} {chosen.name}`."
        for group, chosen in new.choices.items()
        if group in {"size", "family"} and group in old.choices and old.choices[group].name != chosen.name
    ]


@dataclass(frozen=True, slots=True)
class Limit:
    """One row of the table that people see."""

    key: str
    value: Any
    possible: str
    because: str


def limits(settings: Settings) -> list[Limit]:
    """For every setting that a rule is about, whether it may change once there are weights, and why not."""
    found = []
    for key, leaf in leaves(entry(settings.values(), Origin(""))):
        rule = _rule(key)
        if rule is not None:
            found.append(Limit(key, plain(leaf), rule.possible, rule.because))
    return found


def kept_with_model(settings: Settings, layers: Collection[str] = (COMMAND_LINE, CALL)) -> dict[str, Any]:
    """What the card of a model keeps under `settings`, in the shape of a run file; `layers` are those to keep.

    Its choices of presets, what was typed for it, and every key that `RULES` fix: so neither another workspace nor a
    later version with other presets can bend a model that exists.
    """
    kept: dict[str, Any] = {
        "defaults": [{f"override /{group}": choice.name} for group, choice in settings.choices.items()]
    }
    for key, leaf in leaves(entry(settings.values(), Origin(""))):
        typed = settings.origins[key].layer in layers
        if typed or _rule(key) is not None:
            *path, last = key.split(".")
            place = kept
            for part in path:
                place = place.setdefault(part, {})
            place[last] = plain(leaf)
    return kept


def _rule(key: str) -> Rule | None:
    if key in FREE:
        return None
    return next((rule for rule in RULES if key == rule.key or key.startswith(f"{rule.key}.")), None)

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import yaml

from treadle.config.compose import Sources, compose
from treadle.config.constraints import FREE, RULES, changes_refused, kept_with_model, limits
from treadle.config.schema import known_keys, section_classes
from treadle.config.tree import Origin

if TYPE_CHECKING:
    from pathlib import Path


def _refused(*flags: str, trained: tuple[str, ...] = ()) -> list[str]:
    return changes_refused(compose(Sources(flags=trained)), compose(Sources(flags=[*trained, *flags])))


def test_the_same_settings_are_no_change() -> None:
    assert _refused() == []


@pytest.mark.parametrize(
    "flag",
    [
        "training.clip=2.0",
        "training.batch_size=3",
        "training.optimizer.learning_rate=1.0",
        "family.dropout=0.1",
        "data.sequence_length=999",
        "data.held_out=0",
        "data.unknown=skip",
        "generation.top_k=3",
        "training.precision=fp32",
    ],
)
def test_what_does_not_touch_the_weights_may_change(flag: str) -> None:
    assert _refused(flag) == []


@pytest.mark.parametrize(("was", "becomes"), [("auto", "bytes"), ("bpe:512", "auto")])
def test_a_tokenizer_that_was_decided_for_the_model_may_be_named_or_not(was: str, becomes: str) -> None:
    assert _refused(f"data.tokenizer={becomes}", trained=(f"data.tokenizer={was}",)) == []


@pytest.mark.parametrize(
    ("flag", "key"),
    [
        ("family.layers=7", "family.layers"),
        ("family.width=768", "family.width"),
        ("family.tied_embeddings=true", "family.tied_embeddings"),
        ("data.tokenizer=char", "data.tokenizer"),
        ("data.held_out=0.2", "data.held_out"),
        ("training.optimizer.name=adamw", "training.optimizer.name"),
        ("training.seed=2", "training.seed"),
    ],
)
def test_what_the_weights_fix_is_refused_with_key_reason_and_remedy(flag: str, key: str) -> None:
    (message,) = _refused(flag, trained=("data.tokenizer=bytes",))
    value = flag.partition("=")[2]
    assert message.startswith(f"`{key}` cannot change from ")
    assert "(command line)" in message
    assert f"treadle new NAME {key}=" in message or value == "true"


def test_each_change_is_named() -> None:
    messages = _refused("size=nano")
    changed = [message.split("`")[1].removeprefix("family.") for message in messages]
    assert changed == ["layers", "width", "heads", "kv_heads"]
    assert "(size nano, conf/size/nano.yaml:5)" in messages[0]


def test_another_preset_is_refused_even_where_the_card_holds_on_to_the_shape() -> None:
    old = compose(Sources(flags=["size=nano"]))
    new = compose(Sources(flags=["size=tiny", "family.layers=3", "family.width=128", "family.heads=4"]))
    new = replace(new, family=old.family, data=old.data)
    (message,) = changes_refused(old, new)
    assert message.startswith("The preset of size cannot change from nano to tiny (command line)")


def test_learned_positions_end_at_the_trained_context_and_rotary_ones_do_not() -> None:
    assert _refused("data.sequence_length=64", trained=("family=gpt2",)) == []
    (message,) = _refused("data.sequence_length=512", trained=("family=gpt2",))
    assert "none beyond its trained context" in message


def test_the_table_speaks_of_keys_that_exist() -> None:
    known = known_keys(section_classes("gpt"))
    assert all(rule.key in known for rule in RULES)
    assert all(key in known for key in FREE)


def test_a_card_keeps_choices_typed_values_and_all_that_the_weights_fix(tmp_path: Path) -> None:
    typed = ["size=tiny", "family=gpt2", "training.clip=0.5", "generation.stop=[x]", "family.dropout=0.1"]
    settings = compose(Sources(flags=typed))
    kept = kept_with_model(settings)
    assert kept["defaults"] == [{"override /family": "gpt2"}, {"override /size": "tiny"}]
    assert kept["training"] == {"optimizer": {"name": "muon"}, "clip": 0.5, "seed": 1}
    assert kept["generation"] == {"stop": ["x"]}
    assert kept["family"] == settings.values()["family"]
    assert set(kept["data"]) == {"sequence_length", "held_out", "tokenizer", "image_size", "clip_frames"}
    card = tmp_path / "model.yaml"
    card.write_text(yaml.safe_dump({"name": "bard", "family": "gpt", "size": "tiny", "settings": kept}))
    again = compose(Sources(model_file=card))
    assert again.values() == settings.values()
    assert again.origins["family.width"] == Origin("model", str(card), again.origins["family.width"].line)


def test_a_model_keeps_its_shape_when_a_preset_changes_later(tmp_path: Path, conf: Path) -> None:
    card = tmp_path / "model.yaml"
    old = compose(Sources(conf=conf, size="tiny"))
    card.write_text(yaml.safe_dump({"settings": kept_with_model(old)}))
    size = conf / "size" / "tiny.yaml"
    size.write_text(size.read_text().replace("width: 128", "width: 256").replace("batch_size: 8", "batch_size: 4"))
    new = compose(Sources(conf=conf, model_file=card))
    assert changes_refused(old, new) == []
    assert (new.values()["family"]["width"], new.training.batch_size) == (128, 4)


def test_the_table_that_people_see_names_what_is_possible_and_why() -> None:
    rows = {row.key: row for row in limits(compose(Sources(flags=["size=tiny"])))}
    assert rows["family.layers"].possible == "more, by `treadle set`"
    assert rows["family.width"].possible == "no"
    assert rows["data.held_out"].value == 0.1
    assert all(row.because for row in rows.values())
    assert not {"family.dropout", "training.batch_size"} & rows.keys()

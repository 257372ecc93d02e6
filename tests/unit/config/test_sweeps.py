"""Grids in Hydra's sweep syntax."""

import pytest

from treadle.base.errors import UsageError
from treadle.config.sweeps import Axis, cells, read_axis


@pytest.mark.parametrize(
    ("text", "key", "values"),
    [
        ("family.layers=2,4", "family.layers", ("2", "4")),
        ("family.layers=range(1,5)", "family.layers", ("1", "2", "3", "4")),
        ("family.dropout=range(0,0.5,0.25)", "family.dropout", ("0.0", "0.25")),
        ("family.activation=choice(swiglu,relu2)", "family.activation", ("swiglu", "relu2")),
        ("training.clip=1", "training.clip", ("1",)),
        ("training.optimizer=adamw,muon", "training.optimizer.name", ("adamw", "muon")),
    ],
)
def test_choices_ranges_and_single_values_make_an_axis(text, key, values):
    assert read_axis(text) == Axis(key, values)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("training.clip=interval(0,1)", "an interval names no values"),
        ("family=glob(*)", "only choices"),
        ("+family.layers=1,2", "without `\\+`"),
        ("family.layers", "Cannot use"),
        ("family.layers=2,2", "names a value twice"),
        ("family.layers=2,(", "Cannot use"),
    ],
)
def test_what_names_no_values_is_refused_with_the_reason(text, said):
    with pytest.raises(UsageError, match=said):
        read_axis(text)


def test_several_grids_multiply_and_labels_say_what_differs():
    found = cells([read_axis("family.layers=2,4"), read_axis("training.optimizer=adamw,muon")])
    assert [cell.label for cell in found] == [
        "layers=2 optimizer=adamw",
        "layers=2 optimizer=muon",
        "layers=4 optimizer=adamw",
        "layers=4 optimizer=muon",
    ]
    assert found[1].flags == ("family.layers=2", "training.optimizer.name=muon")


def test_named_cells_multiply_with_grids():
    found = cells([read_axis("training.clip=0,1")], {"wide": ["family.width=64"], "deep": ["family.layers=4"]})
    assert [cell.label for cell in found] == ["wide clip=0", "wide clip=1", "deep clip=0", "deep clip=1"]
    assert found[2].flags == ("family.layers=4", "training.clip=0")


def test_keys_that_end_alike_are_written_out():
    found = cells([read_axis("data.seed=1,2"), read_axis("training.seed=3,4")])
    assert found[0].label == "data.seed=1 training.seed=3"


def test_a_key_given_twice_is_refused():
    with pytest.raises(UsageError, match="twice"):
        cells([read_axis("training.clip=0,1"), read_axis("training.clip=2,3")])


def test_a_tokenizer_with_a_colon_reads_as_it_was_written():
    (first, second) = cells([read_axis("data.tokenizer=char,bpe:512")])
    assert second.label == "tokenizer=bpe:512"
    assert first.flags == ("data.tokenizer=char",)

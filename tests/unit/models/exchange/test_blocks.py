"""Blocks of numbers as llama.cpp keeps them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from treadle.base.errors import DataError
from treadle.models.exchange.blocks import BF16, F16, F32, KINDS, Q4_0, Q8_0, rounded

ROWS = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 3), st.sampled_from([32, 64])),
    elements=st.floats(-1000, 1000, width=32, allow_subnormal=False),
)


@settings(max_examples=30, deadline=None)
@given(values=ROWS)
def test_each_kind_takes_the_bytes_it_says_and_is_as_near_as_its_bits_allow(values):
    largest = np.abs(values.reshape(len(values), -1, 32)).max(axis=-1, keepdims=True)
    for kind, steps in ((F32, 0), (F16, 2**-11), (BF16, 2**-8), (Q8_0, 1 / 250), (Q4_0, 1 / 7)):
        data = kind.encode(values)
        assert data.size == kind.bytes_of(values.shape)
        back = kind.decode(data).reshape(values.shape)
        allowed = np.broadcast_to(largest * steps + 1e-5, (*largest.shape[:-1], 32)).reshape(values.shape)
        assert (np.abs(back - values) <= allowed + np.abs(values) * 2**-10).all(), kind.name


def test_q8_0_is_the_bytes_that_llama_cpp_writes():
    row = np.zeros((1, 32), np.float32)
    row[0, :4] = [127.0, -127.0, 0.5, -0.5]  # a scale of one; halves go away from zero
    assert Q8_0.encode(row).tolist() == [[0x00, 0x3C, 127, 129, 1, 255, *[0] * 28]]


def test_q4_0_is_the_bytes_that_llama_cpp_writes():
    row = np.zeros((1, 32), np.float32)
    row[0, 0], row[0, 16] = -8.0, 7.0  # a scale of one; value 0 lies low and value 16 high in the first byte
    assert Q4_0.encode(row).tolist() == [[0x00, 0x3C, 0xF0, *[0x88] * 15]]
    assert rounded(row, Q4_0)[0, [0, 1, 16]].tolist() == [-8.0, 0.0, 7.0]


@pytest.mark.parametrize("kind", [Q8_0, Q4_0], ids=["q8_0", "q4_0"])
def test_weights_next_to_nothing_become_zero(kind):
    row = np.full((1, 32), 1.2e-38, np.float32)  # their scale is no normal number, and has no inverse
    assert not kind.decode(kind.encode(row)).any()


def test_the_gguf_package_rounds_in_the_same_way():
    quants = pytest.importorskip("gguf.quants", reason="the package `gguf` is not installed")
    from gguf import GGMLQuantizationType

    values = np.random.default_rng(1).standard_normal((4, 96), np.float32)
    for name in ("q8_0", "q4_0", "bf16", "f16"):
        theirs = quants.quantize(values, GGMLQuantizationType[name.upper()])
        assert np.array_equal(KINDS[name].encode(values).reshape(-1), theirs.view(np.uint8).reshape(-1)), name


def test_rows_that_are_no_multiple_of_a_block_are_refused():
    with pytest.raises(DataError, match="rows of 33 values cannot be kept as q8_0"):
        Q8_0.bytes_of((2, 33))


def test_bf16_keeps_what_is_no_number():
    odd = np.array([[np.inf, -np.inf]], np.float32)
    assert rounded(odd, BF16).tolist() == odd.tolist()

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from treadle.base.errors import WeightsError
from treadle.generation.engine import EngineModel, LazyWeights, PackedPlace, Rows
from treadle.generation.native_engine import FORMATS, NativeEngine, open_packed
from treadle.models.gpt.config import GPTConfig
from treadle.models.gpt.weights import weight_shapes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

CONFIG = GPTConfig(layers=2, width=64, heads=4)
VOCABULARY, CONTEXT = 50, 32
ROWS = Rows.of([(3, 0, 0, False), (4, 0, 1, True)])


def weights(config: GPTConfig = CONFIG) -> dict[str, NDArray[np.float32]]:
    generator = np.random.default_rng(2)
    shapes = weight_shapes(config, VOCABULARY, CONTEXT)
    return {name: generator.standard_normal(shape, np.float32) for name, shape in shapes.items()}


class Place:
    """A checkpoint's folder, and how often its weights were read."""

    def __init__(self, folder: Path) -> None:
        self.source = folder / "model.safetensors"
        self.source.write_bytes(b"weights")
        self.reads = 0

    def file(self, precision: str = "int8") -> Path:
        return self.source.parent / f"packed-{FORMATS[precision].name.lower()}.bin"

    def place(self, sha256: str = "a", network: str = "n") -> PackedPlace:
        return PackedPlace(self.source, sha256, network)

    def open(self, precision: str = "int8", sha256: str = "a", config: GPTConfig = CONFIG) -> NativeEngine:
        def read() -> dict[str, NDArray[np.float32]]:
            self.reads += 1
            return weights(config)

        packed = self.place(sha256)
        return NativeEngine(EngineModel("gpt", config, LazyWeights(read), VOCABULARY, CONTEXT, packed), precision, 1)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.mark.parametrize("precision", FORMATS)
def test_the_second_start_reads_no_weights_and_gives_the_same_bits(place: Place, precision: str) -> None:
    first = place.open(precision).step(ROWS)
    second = place.open(precision).step(ROWS)
    assert place.reads == 1
    np.testing.assert_array_equal(first, second)
    assert [path.name for path in sorted(place.source.parent.iterdir())] == [
        "model.safetensors",
        place.file(precision).name,
    ]


def test_whoever_may_read_the_weights_may_read_the_packed_ones(place: Place) -> None:
    place.source.chmod(0o640)
    place.open()
    assert place.file().stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("precision", FORMATS)
def test_what_was_packed_is_opened_from_its_file_alone(place: Place, precision: str) -> None:
    expected = place.open(precision).step(ROWS)
    alone = open_packed(place.place(), precision)
    assert alone is not None
    assert (alone.vocabulary, alone.context, alone.precision) == (VOCABULARY, CONTEXT, precision)
    np.testing.assert_array_equal(alone.step(ROWS), expected)


def test_only_the_copy_of_these_weights_in_this_network_is_opened(place: Place) -> None:
    assert open_packed(place.place()) is None
    place.open()
    assert open_packed(place.place()) is not None
    assert open_packed(place.place(sha256="b")) is None
    assert open_packed(place.place(network="other")) is None
    assert open_packed(place.place(network="")) is None
    assert open_packed(place.place(), "fp32") is None
    assert open_packed(place.place(), "fp7") is None


def test_opening_what_was_packed_and_writing_a_token_needs_neither_numpy_nor_pydantic(place: Place) -> None:
    place.open()
    script = f"""
import sys
from pathlib import Path
from types import SimpleNamespace
from treadle.generation.engine import PackedPlace, WantedText
from treadle.generation.native_engine import open_packed
engine = open_packed(PackedPlace(Path({str(place.source)!r}), "a", "n"))
settings = SimpleNamespace(tokens=1, temperature=0, top_k=0, top_p=1, min_p=0, repetition_penalty=1,
                           frequency_penalty=0, presence_penalty=0)
engine.begin(0, WantedText([3, 4], settings, 1, 0, {{}}))
print(engine.write(0)[0].tokens[0], sorted({{"numpy", "pydantic", "torch"}} & set(sys.modules)))
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    expected = int(place.open().step(ROWS)[0].argmax())
    assert ran.stdout.split(maxsplit=1) == [str(expected), "[]\n"]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut in the block": lambda data: data[:-1],
    "cut in the header": lambda data: data[:100],
    "empty": lambda data: b"",
    "longer": lambda data: data + b"\0",
    "one bit of the last byte": lambda data: data[:-64] + bytes([data[-64] ^ 1]) + data[-63:],
    "one bit in the middle": lambda data: data[:9000] + bytes([data[9000] ^ 128]) + data[9001:],
    "no magic": lambda data: b"X" + data[1:],
    "no JSON": lambda data: data[:15] + b"{" + data[15:-1],
    "not an object": lambda data: data[:15] + b"7".ljust(4096 - 15, b"\0") + data[4096:],
    "another format": lambda data: data.replace(b'"int8"', b'"int9"', 1),
    "another epsilon, of which no size tells": lambda data: data.replace(b"1e-06", b"1e-05", 1),
    "another shape": lambda data: data.replace(b'"layers": 2', b'"layers": 1', 1),
    "another layout": lambda data: data.replace(b'"layout": 2', b'"layout": 0', 1),
    "another checksum": lambda data: data.replace(b'"checksum": ', b'"checksum":1', 1),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_file_that_is_cut_or_lies_is_made_again(place: Place, damage: Callable[[bytes], bytes]) -> None:
    expected = place.open().step(ROWS)
    whole = place.file().read_bytes()
    assert damage(whole) != whole
    place.file().write_bytes(damage(whole))
    assert open_packed(place.place()) is None
    np.testing.assert_array_equal(place.open().step(ROWS), expected)
    assert place.reads == 2
    assert place.file().read_bytes() == whole


def test_other_weights_make_it_stale(place: Place) -> None:
    place.open(sha256="a")
    place.open(sha256="b")
    assert place.reads == 2
    place.open(sha256="b")
    assert place.reads == 2
    time.sleep(0.01)
    place.source.write_bytes(b"touched")
    place.open(sha256="b")
    assert place.reads == 3


def test_weights_that_do_not_fit_are_named_before_anything_is_written(place: Place) -> None:
    wrong = EngineModel("gpt", CONFIG, {}, VOCABULARY, CONTEXT, PackedPlace(place.source, "a"))
    with pytest.raises(WeightsError, match=r"missing: embedding\.weight"):
        NativeEngine(wrong, "int8", 1)
    assert not place.file().exists()


def test_where_nothing_can_be_written_the_engine_works_without(place: Place) -> None:
    expected = place.open().step(ROWS)
    place.file().unlink()
    place.file().mkdir()  # nothing can take this name, whoever runs the test
    np.testing.assert_array_equal(place.open().step(ROWS), expected)
    assert list(place.file().iterdir()) == []
    assert [path.name for path in place.source.parent.glob(".*")] == []


def test_an_engine_goes_on_while_its_file_is_replaced(place: Place) -> None:
    engine = place.open()
    engine.step(ROWS)
    running = place.open()
    expected = running.step(ROWS)
    place.open(sha256="b")
    np.testing.assert_array_equal(running.step(ROWS), expected)


def test_what_a_killed_writer_left_goes_after_an_hour(place: Place, tmp_path: Path) -> None:
    import os

    old, fresh = (tmp_path / f".{place.file().name}.{name}.tmp" for name in ("old", "new"))
    for left in (old, fresh):
        left.write_bytes(b"half")
    os.utime(old, (time.time() - 9999,) * 2)
    place.open()
    assert fresh.exists()
    assert not old.exists()


def test_lazy_weights_are_read_once() -> None:
    reads: list[Any] = []
    lazy = LazyWeights(lambda: reads.append(1) or {"a": np.zeros(1, np.float32)})  # type: ignore[func-returns-value]
    assert not reads
    assert list(lazy) == ["a"]
    assert len(lazy) == 1
    assert lazy["a"].shape == (1,)
    assert len(reads) == 1

"""From files on a disk to batches, with processes that are killed and inputs that are large."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from treadle.data.batch import MASKED
from treadle.data.bundled.texts import bundled_text
from treadle.data.config import DataSettings
from treadle.data.coverage import Coverage, token_ledger
from treadle.data.loader import TokenLoader
from treadle.data.readers.walk import read_paths
from treadle.data.tokenizers.tokenizer import train_tokenizer
from treadle.data.tokens import open_streams
from treadle.data.versions import DatasetVersions
from treadle.store.objects import ObjectStore

PLAY = Path(__file__).parents[1] / "data" / "mindpaint-latin1.txt"


@pytest.fixture
def versions(tmp_path: Path) -> DatasetVersions:
    return DatasetVersions(tmp_path / "datasets" / "plays", ObjectStore(tmp_path / "objects"))


@pytest.mark.parametrize("kind", ["bytes", "char"])
def test_what_is_fed_comes_out_of_the_loader_once_an_epoch(versions: DatasetVersions, kind: str) -> None:
    dataset = versions.add(read_paths([bundled_text("shakespeare"), PLAY, Path("/nowhere/x.txt")]))
    assert versions.ledger().refused == {"missing": 1}
    tokenizer = train_tokenizer(kind, dataset.texts())
    settings = DataSettings(sequence_length=64, tokenizer=kind)
    streams = open_streams(dataset, tokenizer, settings)
    loader = TokenLoader(streams, settings.sequence_length, seed=1)
    counts = np.zeros(tokenizer.vocabulary_size, np.int64)
    for position in range(0, loader.examples_per_epoch, 512):
        batch = loader.batch(position, min(512, loader.examples_per_epoch - position))
        counts += np.bincount(batch.targets[batch.targets != MASKED], minlength=tokenizer.vocabulary_size)
    stream = streams.train.read(1, len(streams.train))
    assert (counts == np.bincount(stream, minlength=tokenizer.vocabulary_size)).all()
    held_out = tokenizer.decode(streams.held_out.read(0, len(streams.held_out)))
    assert held_out.startswith(bundled_text("shakespeare").read_text()[1_003_855:])
    evaluated = sum(loader.extra(batch)["bytes"] for batch in loader.evaluation(32))  # noqa: S610 - no Django here
    assert evaluated == streams.held_out_bytes == len(held_out.encode())
    slots = loader.examples_per_epoch
    read = Coverage().on(loader.pieces).with_pass(loader.order, [(0, slots)], loader.targets_per_epoch)
    ledger = token_ledger(loader, read)
    assert (ledger.buffered, ledger.total) == (0, streams.targets)


FEED_SLOWLY = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path
    from treadle.data.document import Document
    from treadle.data.versions import DatasetVersions
    from treadle.store.objects import ObjectStore
    root = Path(sys.argv[1])
    def documents():
        for number in range(int(sys.argv[2])):
            yield Document.from_text(f"{number} " + "word " * 200_000, f"{number}.txt")
            print(number, flush=True)
            time.sleep(0.02)
    dataset = DatasetVersions(root / "datasets" / "plays", ObjectStore(root / "objects")).add(documents())
    print("done", dataset.number, flush=True)
    """
)


def start_feed(root: Path, documents: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", FEED_SLOWLY, str(root), str(documents)], stdout=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("documents_before_death", [1, 5, 20])
def test_a_killed_feed_leaves_the_last_version_and_can_be_done_again(
    versions: DatasetVersions, tmp_path: Path, documents_before_death: int
) -> None:
    (tmp_path / "first.txt").write_text("what was there before")
    before = versions.add(read_paths([tmp_path / "first.txt"]))
    with start_feed(tmp_path, 200) as feed:
        assert feed.stdout is not None
        for _ in range(documents_before_death):
            feed.stdout.readline()
        os.kill(feed.pid, signal.SIGKILL)
    assert versions.numbers() == [1]
    assert versions.latest() == before
    before.verify()
    leftovers = list((tmp_path / "objects" / "incoming").iterdir())
    assert len(leftovers) == 1  # what the dead process was writing
    with start_feed(tmp_path, 3) as feed:
        assert feed.wait() == 0
    after = versions.latest()
    assert after is not None
    after.verify()
    assert (after.number, after.manifest.documents) == (2, 4)
    assert list((tmp_path / "objects" / "incoming").iterdir()) == []
    assert not list(tmp_path.rglob("*.tmp"))


def test_two_feeds_at_once_wait_for_each_other(versions: DatasetVersions, tmp_path: Path) -> None:
    with start_feed(tmp_path, 4) as one, start_feed(tmp_path, 6) as two:
        assert (one.wait(), two.wait()) == (0, 0)
    dataset = versions.latest()
    assert dataset is not None
    dataset.verify()
    assert (dataset.number, dataset.manifest.documents) == (2, 6)
    assert versions.ledger().refused == {"duplicate": 4}


READ_HUGE = textwrap.dedent(
    """
    import resource, sys
    from pathlib import Path
    from treadle.data.config import DataSettings
    from treadle.data.loader import TokenLoader
    from treadle.data.readers.walk import read_paths
    from treadle.data.tokenizers.tokenizer import train_tokenizer
    from treadle.data.tokens import open_streams
    from treadle.data.versions import DatasetVersions
    from treadle.store.objects import ObjectStore
    root = Path(sys.argv[1])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    dataset = DatasetVersions(root / "datasets" / "plays", ObjectStore(root / "objects")).add(
        read_paths([root / "line.txt"])
    )
    tokenizer = train_tokenizer(sys.argv[2], dataset.texts())
    streams = open_streams(dataset, tokenizer, DataSettings())
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(dataset.manifest.bytes, streams.targets, (after - before) // 1024)
    """
)


def test_a_huge_file_of_one_line_is_taken_in_bounded_memory(tmp_path: Path) -> None:
    size = 200_000_000
    with (tmp_path / "line.txt").open("wb") as file:
        for _ in range(size // 2_000_000):
            file.write(b"0123456789" * 200_000)
    result = subprocess.run(
        [sys.executable, "-c", READ_HUGE, str(tmp_path), "bytes"], capture_output=True, text=True, check=True
    )
    stored, targets, megabytes = map(int, result.stdout.split())
    assert stored == size
    assert targets == size + 2
    assert megabytes < 60, "the memory needed must not grow with the file"

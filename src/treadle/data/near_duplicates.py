"""Near-duplicates: documents that share most of their runs of five words.

Each document gives `BANDS` keys (MinHash of its runs, Broder 1997, several permutations to a band). Documents with a
key in common are candidates; their texts are then compared truly, by Jaccard's index of their runs. What is found are
clusters: the components of the graph of similar pairs. They depend on the set of documents only, not on any order.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from treadle.data.words_in_numbers import mixed, runs, word_numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

RUN: Final = 5
"""Words of a run."""
BANDS: Final = 20
ROWS: Final = 6
"""Permutations of a band: pairs of similarity 0.8 meet with probability 0.998, of 0.5 with 0.27."""
_CHUNK: Final = 1024
_MOST_REPRESENTATIVES: Final = 8
_KEPT_TEXTS: Final = 256
_SEED: Final = 0x7EAD1E


def _coefficients() -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    values = (mixed(np.arange(_SEED, _SEED + 2 * BANDS * ROWS, dtype=np.uint64)) >> np.uint64(32)).astype(np.uint32)
    return values[::2] | np.uint32(1), values[1::2]


_FACTORS, _OFFSETS = _coefficients()


def runs_of(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The distinct runs of a document whose words are `numbers`, sorted; a short document is one run."""
    words = numbers[numbers != 0]
    found = runs(words, RUN) if len(words) >= RUN else runs(words, len(words))
    return np.unique(mixed(found))


def band_keys(distinct_runs: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The keys of a document by band, (BANDS,); equal documents have equal keys."""
    least = np.full(BANDS * ROWS, np.iinfo(np.uint32).max, np.uint32)
    short = (distinct_runs >> np.uint64(32)).astype(np.uint32)  # processors multiply these four times as fast
    for start in range(0, len(short), _CHUNK):
        hashed = short[start : start + _CHUNK] * _FACTORS[:, None]  # (BANDS * ROWS, chunk)
        hashed += _OFFSETS[:, None]
        np.minimum(least, hashed.min(axis=1), out=least)
    grouped = mixed(least.astype(np.uint64)).reshape(BANDS, ROWS)
    keys = grouped[:, 0].copy()
    for row in range(1, ROWS):
        keys = mixed(keys ^ grouped[:, row])
    return keys


def jaccard(first: NDArray[np.uint64], second: NDArray[np.uint64]) -> float:
    """Jaccard's index of two sorted sets of runs."""
    common = len(np.intersect1d(first, second, assume_unique=True))
    return common / max(len(first) + len(second) - common, 1)


@dataclass(frozen=True, slots=True)
class Cluster:
    """Documents that are nearly the same: places in the list of documents, the one of the smallest id first."""

    members: tuple[int, ...]
    similarity: float
    """The least that was found between two members that were compared and are similar."""


def clusters(
    keys: NDArray[np.uint64], ids: Sequence[str], text_of: Callable[[int], Iterable[str]], similarity: float
) -> list[Cluster]:
    """Find the clusters among documents with these keys, (N, BANDS), and ids; `text_of` reads the text at a place."""
    groups = _Groups(len(ids))
    texts = _Texts(text_of)
    for band in range(keys.shape[1]):
        column = np.asarray(keys[:, band])
        order = np.argsort(column, kind="stable")
        ordered = column[order]
        edges = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1], [True])))
        for number in np.flatnonzero(np.diff(edges) > 1).tolist():
            bucket = sorted(order[edges[number] : edges[number + 1]].tolist(), key=ids.__getitem__)
            _compare(bucket, groups, texts, similarity)
    return groups.clusters(ids)


def _compare(bucket: list[int], groups: _Groups, texts: _Texts, similarity: float) -> None:
    """Compare each document of a bucket with the first of each cluster that the bucket has shown so far."""
    representatives: list[int] = []
    for place in bucket:
        joined = False
        for other in representatives:
            if groups.find(place) == groups.find(other) or (place, other) in groups.unlike:
                joined = joined or groups.find(place) == groups.find(other)
                continue
            found = jaccard(texts.runs(place), texts.runs(other))
            if found >= similarity:
                groups.join(place, other, found)
                joined = True
                break
            groups.unlike.add((place, other))
        if not joined and len(representatives) < _MOST_REPRESENTATIVES:
            representatives.append(place)


class _Groups:
    """Union-find over documents, and what pairs were found to be unlike."""

    def __init__(self, count: int) -> None:
        self._parent = np.arange(count)
        self._least: dict[int, float] = {}
        self.unlike: set[tuple[int, int]] = set()

    def find(self, place: int) -> int:
        root = place
        while self._parent[root] != root:
            root = int(self._parent[root])
        while self._parent[place] != root:
            self._parent[place], place = root, int(self._parent[place])
        return root

    def join(self, first: int, second: int, similarity: float) -> None:
        one, other = self.find(first), self.find(second)
        self._parent[max(one, other)] = min(one, other)
        least = min(self._least.pop(one, 1.0), self._least.pop(other, 1.0), similarity)
        self._least[min(one, other)] = least

    def clusters(self, ids: Sequence[str]) -> list[Cluster]:
        members: dict[int, list[int]] = {}
        for place in np.flatnonzero(self._parent != np.arange(len(self._parent))).tolist():
            members.setdefault(self.find(place), []).append(place)
        found = [
            Cluster(tuple(sorted((root, *others), key=ids.__getitem__)), round(self._least[root], 4))
            for root, others in members.items()
        ]
        return sorted(found, key=lambda cluster: ids[cluster.members[0]])


class _Texts:
    """The runs of documents that were compared last."""

    def __init__(self, text_of: Callable[[int], Iterable[str]]) -> None:
        self._text_of = text_of
        self._known: OrderedDict[int, NDArray[np.uint64]] = OrderedDict()

    def runs(self, place: int) -> NDArray[np.uint64]:
        if place in self._known:
            self._known.move_to_end(place)
            return self._known[place]
        parts = [word_numbers(piece.split()) for piece in self._text_of(place)]
        found = runs_of(np.concatenate(parts)) if parts else np.empty(0, np.uint64)
        self._known[place] = found
        if len(self._known) > _KEPT_TEXTS:
            self._known.popitem(last=False)
        return found

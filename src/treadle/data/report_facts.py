"""What a quality report says of a dataset version, as plain JSON: measured when its documents were added, or now."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from treadle.data.leaks import RUN, leak_of
from treadle.data.steps.forms import form_of
from treadle.data.steps.language import language_of
from treadle.data.steps.lines import beginning
from treadle.data.steps.quality import breaches, measured
from treadle.data.tokenizers.learning import sampled
from treadle.data.tokenizers.tokenizer import train_tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from treadle.data.steps.config import DatasetSettings
    from treadle.data.tokenizers.tokenizer import Tokenizer
    from treadle.data.versions import Dataset

_BINS: Final = 24
_SHOWN: Final = 5
_EXAMPLE: Final = 160
_TOKEN_BYTES: Final = 2 << 20
"""Text that token statistics are taken from, at most."""
_VOCABULARY: Final = 4096


def report_of(
    name: str, dataset: Dataset, settings: DatasetSettings, tokenizer: Tokenizer | None = None
) -> dict[str, Any]:
    """Everything that the report shows of a version."""
    rows = list(_measured_rows(dataset, settings))
    manifest = dataset.manifest
    refusals = dataset.refusals()
    sizes = np.array([row["bytes"] for row in rows], np.int64)
    return {
        "name": name,
        "version": dataset.number,
        "id": dataset.id,
        "created": manifest.created,
        "documents": manifest.documents,
        "bytes": manifest.bytes,
        "settings": settings.model_dump(mode="json"),
        "lengths": {**_quantiles(sizes), "histogram": _logarithmic(sizes)},
        "languages": _shares(rows, "language"),
        "forms": _shares(rows, "form"),
        "formats": _shares(rows, "format"),
        "licences": _shares(rows, "licence"),
        "quality": _quality(rows, settings),
        "duplicates": _duplicates(dataset, rows, sum(refusal.reason == "duplicate" for refusal in refusals)),
        "refused": dict(Counter(refusal.reason for refusal in refusals).most_common()),
        "refused_examples": [
            {"source": one.source, "reason": one.reason, "detail": one.detail}
            for one in refusals
            if one.reason != "duplicate"
        ][:10],
        "split": _split(dataset),
        "tokens": _tokens(dataset, tokenizer),
        "extremes": _extremes(rows, dataset),
    }


def _measured_rows(dataset: Dataset, settings: DatasetSettings) -> Iterable[dict[str, Any]]:
    """One row for each document; what was not measured when it was added is measured now."""
    for document in dataset.documents():
        facts = dict(document.metadata)
        if "quality" not in facts:
            start = beginning(document.pieces(), 64 << 10)
            facts["form"] = facts.get("form") or form_of(start, document.source)[0]
            told = language_of(start) if facts["form"] not in {"code", "table"} else None
            facts["language"] = told[0] if told else None
            facts["quality"] = measured(document.pieces())
            facts["broken_rules"] = breaches(facts["quality"], settings.quality, facts["form"])
        yield {
            "id": document.id,
            "source": document.source,
            "bytes": document.size,
            "language": facts.get("language"),
            "form": facts.get("form"),
            "format": facts.get("format", "text"),
            "licence": facts.get("licence"),
            "quality": facts["quality"],
            "broken": facts.get("broken_rules", []),
        }


def _shares(rows: Sequence[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    documents: Counter[str] = Counter()
    size: Counter[str] = Counter()
    for row in rows:
        name = row[key] or "not told"
        documents[name] += 1
        size[name] += row["bytes"]
    return [{"name": name, "documents": documents[name], "bytes": size[name]} for name, _ in size.most_common()]


def _quantiles(values: np.ndarray[Any, Any]) -> dict[str, float]:
    if not len(values):
        return {}
    names = ("least", "p10", "median", "p90", "most")
    found = np.quantile(values, (0, 0.1, 0.5, 0.9, 1))
    return {name: round(float(value), 4) for name, value in zip(names, found, strict=True)}


def _logarithmic(sizes: np.ndarray[Any, Any]) -> list[list[float]]:
    """Documents by size, in bins of a factor of two: lower end, upper end, number."""
    if not len(sizes):
        return []
    powers = np.floor(np.log2(np.maximum(sizes, 1))).astype(int)
    counts = np.bincount(powers)
    first = int(powers.min())
    return [[float(2**power), float(2 ** (power + 1)), int(counts[power])] for power in range(first, len(counts))]


def _histogram(values: np.ndarray[Any, Any]) -> list[list[float]]:
    low, high = float(values.min()), float(values.max())
    if low == high:
        return [[low, high, len(values)]]
    counts, edges = np.histogram(values, _BINS)
    return [
        [round(float(edges[place]), 6), round(float(edges[place + 1]), 6), int(count)]
        for place, count in enumerate(counts)
    ]


def _quality(rows: Sequence[dict[str, Any]], settings: DatasetSettings) -> dict[str, Any]:
    rules: Counter[str] = Counter()
    for row in rows:
        rules.update(_rule(broken) for broken in row["broken"])
    features = {}
    for name in ("word_length", "words_with_letters", "ended_lines", "repeated_line_characters", "top_2_words"):
        values = np.array([row["quality"][name] for row in rows if name in row["quality"]], float)
        if len(values):
            features[name] = {**_quantiles(values), "histogram": _histogram(values)}
    return {
        "preset": settings.quality,
        "dropped": settings.drop,
        "breaking": sum(bool(row["broken"]) for row in rows),
        "rules": dict(rules.most_common()),
        "features": features,
        "examples": [
            {"source": row["source"], "id": row["id"], "broken": row["broken"]} for row in rows if row["broken"]
        ][:_SHOWN],
    }


def _rule(broken: str) -> str:
    """The name of a rule and its limit, without the value: `words < 50`."""
    words = broken.split(" ")
    return " ".join([*words[:-3], *words[-2:]])


def _duplicates(dataset: Dataset, rows: Sequence[dict[str, Any]], exact: int) -> dict[str, Any]:
    found = dataset.clusters()
    sources = {row["id"]: row["source"] for row in rows} | {entry.id: entry.source for entry in dataset.aside()}
    largest = sorted(found, key=lambda cluster: (-len(cluster["documents"]), cluster["documents"]))[:_SHOWN]
    return {
        "exact": exact,
        "clusters": len(found),
        "near": sum(len(cluster["documents"]) - 1 for cluster in found),
        "aside": sum(1 for _ in dataset.aside()),
        "largest": [
            {
                "documents": len(cluster["documents"]),
                "similarity": cluster["similarity"],
                "sources": [sources.get(one, one) for one in cluster["documents"][:3]],
            }
            for cluster in largest
        ],
    }


def _split(dataset: Dataset) -> dict[str, Any]:
    leak = leak_of(dataset)
    return {
        "train_documents": leak.train_documents,
        "held_out_documents": leak.held_out_documents,
        "train_bytes": leak.train_bytes,
        "held_out_bytes": leak.held_out_bytes,
        "leak": round(leak.share, 6),
        "compared_runs": leak.compared,
        "run_words": RUN,
    }


def _tokens(dataset: Dataset, given: Tokenizer | None) -> dict[str, Any]:
    """How a tokenizer cuts a sample of the text; where none is given, one that is learned from the sample."""
    parts = ((document.id, document.pieces()) for document in dataset.documents())
    sample = list(itertools.islice(sampled(parts, dataset.manifest.bytes, _TOKEN_BYTES), 4096))
    if not sample:  # a few large documents, and none was chosen
        sample = [beginning(next(iter(dataset.documents())).pieces(), _TOKEN_BYTES)]
    tokenizer = given or train_tokenizer(f"bpe:{_VOCABULARY}", iter(sample))
    counts = np.zeros(tokenizer.vocabulary_size, np.int64)
    size = 0
    for piece in sample:
        size += len(piece.encode())
        counts += np.bincount(tokenizer.encode(piece, "skip"), minlength=tokenizer.vocabulary_size)
    total = int(counts.sum())
    common = np.argsort(-counts, kind="stable")[:40]
    return {
        "tokenizer": tokenizer.kind if given else f"bpe:{_VOCABULARY}, learned from this text",
        "vocabulary": tokenizer.vocabulary_size,
        "sampled_bytes": size,
        "bytes_per_token": round(size / max(total, 1), 3),
        "tokens": round(total * dataset.manifest.bytes / max(size, 1)),
        "used": int((counts > 0).sum()),
        "rare": int(((counts > 0) & (counts < 10)).sum()),
        "common": [
            {
                "token": tokenizer.token_bytes(int(one)).decode(errors="replace"),
                "share": round(float(counts[one] / total), 5),
            }
            for one in common
            if total and counts[one]
        ],
    }


def _extremes(rows: Sequence[dict[str, Any]], dataset: Dataset) -> dict[str, list[dict[str, Any]]]:
    """The documents that stand out, each with the beginning of its text."""
    chosen = {
        "longest": sorted(rows, key=lambda row: -row["bytes"])[:_SHOWN],
        "shortest": sorted(rows, key=lambda row: row["bytes"])[:_SHOWN],
        "most repetitive": sorted(rows, key=lambda row: -row["quality"].get("repeated_5_words", 0))[:_SHOWN],
        "fewest letters": sorted(rows, key=lambda row: row["quality"].get("words_with_letters", 1))[:_SHOWN],
    }
    wanted = {row["id"] for found in chosen.values() for row in found}
    begins = {
        document.id: " ".join(beginning(document.pieces(), 4 * _EXAMPLE).split())[:_EXAMPLE]
        for document in dataset.documents()
        if document.id in wanted
    }
    return {
        name: [
            {
                "source": row["source"],
                "bytes": row["bytes"],
                "begins": begins[row["id"]],
                "repeated": row["quality"].get("repeated_5_words", 0),
                "letters": row["quality"].get("words_with_letters", 0),
            }
            for row in found
        ]
        for name, found in chosen.items()
    }

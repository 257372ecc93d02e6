"""What came of what, as a graph: versions of data, trainings, checkpoints, models and their copies."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from treadle.base.errors import TreadleError
from treadle.base.ids import made_at
from treadle.recipes.opened import open_model
from treadle.recipes.runs import asked_of, newest_first, outcome_of
from treadle.store.models import ModelCards
from treadle.training.checkpoints import roles

if TYPE_CHECKING:
    from treadle.jobs.runs import RunFolder
    from treadle.recipes.opened import OpenedModel
    from treadle.recipes.runs import Asked
    from treadle.store.models import ModelCard
    from treadle.store.workspace import WorkspaceFolder

Node = dict[str, Any]
Edge = dict[str, str]


def graph(workspace: WorkspaceFolder, model: str | None) -> dict[str, Any]:
    """Nodes and edges of one model and those that it was copied from, or of all models but cells of experiments."""
    cards = ModelCards(workspace)
    known = {card.id: card for card in cards.all()}
    if model is None:
        wanted = [card for card in known.values() if card.experiment is None]
    else:
        wanted = _ancestors(cards.get(model), known)
    nodes: dict[str, Node] = {}
    edges: list[Edge] = []
    trainings = _trainings(workspace)
    for card in wanted:
        _add_model(open_model(workspace, card.id), trainings[card.id], nodes, edges)
    for card in wanted:
        source = dict(card.copied_from or {}).get("id")
        if source in nodes:
            edges.append({"source": str(source), "target": card.id, "says": "copied"})
    there = [edge for edge in edges if edge["source"] in nodes and edge["target"] in nodes]
    return {"nodes": list(nodes.values()), "edges": [dict(pair) for pair in dict.fromkeys(map(_pairs, there))]}


def _pairs(edge: Edge) -> tuple[tuple[str, str], ...]:
    return tuple(edge.items())


def _ancestors(card: ModelCard, known: dict[str, ModelCard]) -> list[ModelCard]:
    found = [card]
    while (source := dict(found[-1].copied_from or {}).get("id")) in known and known[source] not in found:
        found.append(known[source])
    return found[::-1]


def _trainings(workspace: WorkspaceFolder) -> defaultdict[str, list[tuple[RunFolder, Asked]]]:
    """The trainings of each model, oldest first."""
    found: defaultdict[str, list[tuple[RunFolder, Asked]]] = defaultdict(list)
    for run in reversed(list(newest_first(workspace))):
        asked = asked_of(run)
        if asked is not None and asked.kind == "train":
            found[asked.model].append((run, asked))
    return found


def _add_model(
    opened: OpenedModel, trainings: list[tuple[RunFolder, Asked]], nodes: dict[str, Node], edges: list[Edge]
) -> None:
    card = opened.card
    nodes[card.id] = _node(card.id, "model", card.name, card, {"family": card.family, "size": card.size})
    _add_datasets(opened, nodes)
    for run, asked in trainings:
        facts = {"outcome": outcome_of(run), "target": asked.target, "created": made_at(run.id)}
        nodes[run.id] = _node(run.id, "run", asked.target or run.id, card, facts)
        if asked.dataset is not None:
            edges.append(_edge(f"{card.id}/{asked.dataset}", run.id, "taught"))
    _add_checkpoints(opened, nodes, edges)


def _add_datasets(opened: OpenedModel, nodes: dict[str, Node]) -> None:
    card = opened.card
    for number in opened.versions.numbers():
        try:
            dataset = opened.versions.get(number)
        except TreadleError:
            continue  # `show` names damaged versions
        identity = f"{card.id}/{dataset.id}"
        facts = {"documents": dataset.manifest.documents, "bytes": dataset.manifest.bytes, "version": number}
        nodes[identity] = _node(identity, "dataset", f"version {number}", card, facts)


def _add_checkpoints(opened: OpenedModel, nodes: dict[str, Node], edges: list[Edge]) -> None:
    card, checkpoints = opened.card, opened.checkpoints.all()
    held = roles(checkpoints)
    for checkpoint in checkpoints:
        identity = f"{card.id}/{checkpoint.path.name}"
        named = [role for role, holder in held.items() if holder.path == checkpoint.path]
        facts = {"step": checkpoint.step, "roles": named, "held_out": checkpoint.metrics.get("held_out_loss")}
        nodes[identity] = _node(identity, "checkpoint", f"step {checkpoint.step:,}", card, facts)
        lineage = checkpoint.document["lineage"]
        if isinstance(run := lineage.get("run"), str):
            edges.append(_edge(run, identity, "wrote"))
        if isinstance(parent := lineage.get("parent"), str):
            edges.append(_edge(f"{card.id}/{parent}", identity, "went on to"))
        if "latest" in named:
            edges.append(_edge(identity, card.id, "is the newest of"))


def _node(identity: str, kind: str, label: str, card: ModelCard, facts: dict[str, Any]) -> Node:
    return {"id": identity, "kind": kind, "label": label, "model": card.name, "facts": facts}


def _edge(source: str, target: str, says: str) -> Edge:
    return {"source": source, "target": target, "says": says}

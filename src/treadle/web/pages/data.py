"""The pages of the data: what there is, what was refused, how good it is; files and crawls to take in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from markupsafe import Markup

from treadle.base import units
from treadle.base.errors import NotReadyError, TreadleError
from treadle.data.report_plots import histogram
from treadle.web.door import door
from treadle.web.forms import fields_of
from treadle.web.page import page

if TYPE_CHECKING:
    from collections.abc import Mapping

    from treadle.web.door import Door
    from treadle.web.forms import Field

router = APIRouter()
FRONTIER: Final = {
    "next": "asked next",
    "asked": "answered last",
    "kept": "kept",
    "failed": "failed",
    "robots": "refused by robots.txt",
    "refused": "refused",
    "gone": "gone",
    "copy": "copies",
    "redirect": "redirects",
    "left_out": "left out",
}
"""The lists of addresses that a crawl has, in words."""
_SHOWN = 200


@router.get("/data")
def data(request: Request, into: str = "") -> Response:
    """Everything that models learn from: a place to drop files, datasets, what models were fed, crawls."""
    ask = door(request)
    datasets = ask.call("data.list")["datasets"]
    models = ask.call("list")["models"]
    return page(
        request,
        "data.html",
        models=models,
        datasets=datasets,
        fed=[_fed(ask, model) for model in models],
        crawls=ask.call("crawl.status")["crawls"],
        into=into,
    )


@router.get("/data/sets/{name}")
def one_dataset(request: Request, name: str, first: str = "", second: str = "") -> Response:
    """One dataset, or what a model was fed: its versions, what was refused, and what changed between two."""
    ask = door(request)
    versions = ask.call("data.versions", name=name)["versions"]
    refused = ask.call("data.refused", name=name)
    known = {row["name"] for row in ask.call("data.list")["datasets"]}
    compared = None
    if first and second:
        compared = ask.call("data.diff", first=f"{name}@{first}", second=f"{name}@{second}")
    return page(
        request,
        "data_set.html",
        name=name,
        is_dataset=name in known,
        latest=ask.call("data.show", name=name) if versions else None,
        versions=versions[::-1],
        refused={**refused, "refused": refused["refused"][-_SHOWN:][::-1]},
        shown=_SHOWN,
        compared=compared,
        first=first,
        second=second,
    )


@router.get("/data/sets/{name}/report")
def quality(request: Request, name: str, version: str = "") -> Response:
    """The quality report of one version, measured now."""
    which = f"{name}@{version}" if version else name
    try:
        facts = door(request).call("data.report", name=which)
    except NotReadyError as error:
        return page(request, "data_report.html", name=name, facts=None, said=str(error))
    return page(request, "data_report.html", name=name, facts=facts, plots=_plots(facts), said="")


@router.get("/data/preview")
def preview(request: Request, dataset: str = "") -> Response:
    """Drop files and see them before and after cleaning; nothing is stored. Who may send no files has no use for it."""
    ask = door(request)
    ask.entry("feed")
    return page(
        request, "data_preview.html", fields=_settings(), datasets=ask.call("data.list")["datasets"], dataset=dataset
    )


@router.get("/data/new")
def new(request: Request) -> Response:
    """Make a named dataset."""
    door(request).entry("data.new")
    return page(request, "data_new.html")


@router.get("/data/crawl")
def crawl(request: Request, url: str = "") -> Response:
    """Begin a crawl, and test what the rules say about an address."""
    ask = door(request)
    return page(
        request,
        "data_crawl.html",
        url=url,
        datasets=ask.call("data.list")["datasets"],
        crawls=ask.call("crawl.status")["crawls"],
        rules=_rules(ask),
    )


@router.get("/data/crawls/{name}")
def one_crawl(request: Request, name: str, which: Annotated[str, Query()] = "next") -> Response:
    """One crawl while it goes on: where its pages are, what it asks for next, what answered last."""
    ask = door(request)
    chosen = which if which in FRONTIER else "next"
    return page(
        request,
        "data_crawl_one.html",
        crawl=ask.call("crawl.status", name=name)["crawls"][0],
        pages=ask.call("crawl.pages", name=name, which=chosen, count=_SHOWN)["pages"],
        lists=FRONTIER,
        which=chosen,
        rules=_rules(ask),
    )


def _fed(ask: Door, model: Mapping[str, Any]) -> dict[str, Any]:
    """What a model was fed, in short; its own page says why if that cannot be read."""
    try:
        rows = ask.call("data.versions", name=model["name"])["versions"]
    except TreadleError as error:
        return {"name": model["name"], "version": None, "documents": 0, "bytes": 0, "refused": 0, "problem": str(error)}
    newest = rows[-1] if rows else {"version": None, "documents": 0, "bytes": 0}
    refused = sum(sum(row["refused"].values()) for row in rows)
    kept = {key: newest[key] for key in ("version", "documents", "bytes")}
    return {"name": model["name"], **kept, "refused": refused, "problem": ""}


def _rules(ask: Door) -> list[str]:
    """The rules of the workspace, for who may see them: one operation sees and changes them."""
    try:
        found: list[str] = ask.call("crawl.rules", action="list")["rules"]
    except TreadleError:
        return []
    return found


def _settings() -> list[Field]:
    """The settings of a dataset as fields of a form."""
    from treadle.data.steps.config import DatasetSettings

    return fields_of("data.preview", only=[name for name in DatasetSettings.model_fields if name != "check"])


def _plots(facts: Mapping[str, Any]) -> dict[str, Markup]:
    """The histograms of a report as pictures; all text in them was escaped where they are drawn."""
    found = {"lengths": histogram(facts["lengths"]["histogram"], units.size, "documents by size")}
    for name, feature in facts["quality"]["features"].items():
        found[name] = histogram(feature["histogram"], lambda value: f"{value:.3g}", name.replace("_", " "))
    return {name: Markup(svg) for name, svg in found.items()}  # noqa: S704 - see above

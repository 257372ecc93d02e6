"""Settings of a crawl, with their units. No parser, no network."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator

from treadle.base.errors import UsageError
from treadle.config.spec import Spec
from treadle.data.crawl.rules import parse_rule


class CrawlSettings(Spec):
    """How far a crawl goes, how fast, and what of a page is text."""

    depth: int = Field(8, ge=0, description="follow links this far from the addresses that were given")
    max_pages: int = Field(10_000, ge=1, description="keep at most this many pages")
    rate: float = Field(2.0, gt=0, le=1000, description="ask a host at most this often in a second")
    parallel: int = Field(8, ge=1, le=64, description="ask this many hosts at the same time; each one thing at a time")
    scope: Literal["host", "domain", "any"] = Field(
        "host", description="where links may lead: host = hosts that were given; domain = their subdomains too; any"
    )
    include: tuple[str, ...] = Field(
        (), description="follow only what such a rule matches (as in crawl rules); may be repeated"
    )
    exclude: tuple[str, ...] = Field((), description="never follow what such a rule matches; may be repeated")
    mode: Literal["main", "all", "metadata", "mixed"] = Field(
        "main",
        description="what of a page is read: its main text, all visible text, what it says of itself (title, author,"
        " description), or that and the main text",
    )
    chrome: Literal["drop", "keep"] = Field(
        "drop", description="lines that stand on more than 30 % of a host's pages; with --mode all they always stay"
    )
    strip_tracking: bool = Field(
        default=False, description="take utm_source, fbclid and the like for no part of an address (true or false)"
    )
    sitemaps: bool = Field(default=True, description="look for sitemaps (true or false)")
    fresh_hours: float = Field(
        0.0, ge=0, description="when crawling again, ask only for pages that were fetched longer ago than this"
    )
    seconds: float = Field(30.0, gt=0, le=600, description="longest time for one answer")
    megabytes: float = Field(16.0, gt=0, le=256, description="largest answer that is read")
    folder_pages: int = Field(5_000, ge=1, description="most pages of one folder, or of one page's queries")
    url_length: int = Field(2_000, ge=64, le=8_000, description="longest address, in characters")

    @field_validator("include", "exclude")
    @classmethod
    def _are_rules(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            try:
                parse_rule(value)
            except UsageError as error:
                raise ValueError(str(error)) from error
        return values


def checked_settings(given: dict[str, Any]) -> dict[str, Any]:
    """All settings of a crawl as plain values; raises `UsageError` that names the first wrong one."""
    try:
        return CrawlSettings.model_validate(given).model_dump(mode="json")
    except ValidationError as error:
        wrong = error.errors()[0]
        said = wrong["msg"].removeprefix("Value error, ")
        flag = "--" + str(wrong["loc"][0]).replace("_", "-")
        raise UsageError(f"{flag} {wrong['input']}: {said[:1].lower()}{said[1:].rstrip('.')}.") from error

"""Studies: shipped experiments by name, in `conf/study/NAME.yaml`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError

from treadle.base.errors import NotFoundError, SettingsError
from treadle.base.names import did_you_mean
from treadle.config.spec import Spec

FOLDER = Path(__file__).resolve().parent.parent / "conf" / "study"


class Study(Spec):
    """A question, and the grid that answers it."""

    question: str = Field(description="what the study asks, as a title")
    learns_from: tuple[str, ...] = Field(description="texts or pictures, such as bundled:shakespeare")
    settings: tuple[str, ...] = Field((), description="settings of all cells, as key=value")
    cells: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="cells by name, each with its settings as key=value"
    )
    grid: tuple[str, ...] = Field((), description="settings that vary, as key=value,value")
    budget: str = Field(description="what each cell may use, such as 60s, 200steps or 1epochs")
    seeds: int = Field(3, ge=1, description="how often each cell is trained, each time from other first weights")


def study_names() -> list[str]:
    """The studies that there are."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def read_study(name: str) -> Study:
    """Read a shipped study; raises `NotFoundError` with the known ones, `SettingsError` for what it cannot say."""
    known = study_names()
    if name not in known:
        raise NotFoundError(f"No study `{name}`.{did_you_mean(name, known)} Known: {', '.join(known)}.")
    fields: Any = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    try:
        return Study.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise SettingsError(f"conf/study/{name}.yaml: `{place}`: {first['msg']}.") from error

"""Documentation that cannot lie: links lead somewhere, commands and settings exist, generated pages are fresh."""

import re
from pathlib import Path

import pytest

from treadle.cli.main import _USUAL
from treadle.cli.reference import main as reference
from treadle.config.schema import families, known_keys, section_classes
from treadle.operations.operation import operations

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "examples/*.md", "benchmarks/*.md", "src/**/*.md", "tests/**/*.md")
    for path in ROOT.glob(pattern)
    if "data" not in path.relative_to(ROOT).parts  # notes of others, with the faults they came with
)
each = pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
COMMAND = re.compile(
    r"(?:^|`|\$ |\./)treadle ([a-z][a-z-]+)(?: (?!https?:)([a-z-]+))?(?: (?!https?:)([a-z-]+))?", re.MULTILINE
)
SETTING = re.compile(r"\b((?:family|data|training|generation)\.[a-z_0-9]+(?:\.[a-z_0-9]+)*)=?")


def anchor(title):
    return re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")


@each
def test_links_lead_to_files_and_headings_that_exist(path):
    for target in LINK.findall(path.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, heading = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        assert file.exists(), f"{path.name} links to {target}"
        if heading and file.suffix == ".md":
            titles = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in {anchor(title) for title in titles}, f"{path.name} links to {target}"


@each
def test_commands_that_are_named_exist(path):
    nouns = {entry.noun for entry in operations().values() if entry.noun}
    groups = {noun.split(".")[0] for noun in nouns}
    for first, second, third in COMMAND.findall(path.read_text(encoding="utf-8")):
        name = f"{first}.{second}" if first in groups else first
        name = f"{name}.{third}" if name in nouns else name
        words = f"treadle {first} {second} {third}"
        known = name in operations() or name.rstrip(".") in nouns
        assert known or f"{first}.{_USUAL.get(first)}" in operations(), f"{path.name} names `{words}`"


@each
def test_settings_that_are_named_exist(path):
    if "decisions" in path.parts or path.name == "experiments.md":
        pytest.skip("records of the past may name what is gone")
    known = {"training.optimizer"}
    for family in families().names():
        known |= set(known_keys(section_classes(family)))
    for key in SETTING.findall(path.read_text(encoding="utf-8")):
        assert key in known or key.endswith((".py", ".md")), f"{path.name} names {key}"


def test_the_generated_pages_are_fresh(capsys):
    assert reference(["--check", str(ROOT / "docs" / "reference")]) == 0, capsys.readouterr().err


def test_each_dependency_has_its_line_of_reason():
    project = (ROOT / "pyproject.toml").read_text()
    dependencies = re.search(r"\ndependencies = \[(.*?)\]", project, re.DOTALL)[1]
    names = re.findall(r'"([A-Za-z0-9-]+)', dependencies)
    reasons = (ROOT / "docs" / "decisions" / "0002-dependencies.md").read_text()
    assert [name for name in names if f"| {name}" not in reasons and f", {name} |" not in reasons] == []


def test_the_pins_cover_the_dependencies():
    pins = (ROOT / "constraints.txt").read_text().lower().replace("_", "-")
    dependencies = re.search(r"\ndependencies = \[(.*?)\]", (ROOT / "pyproject.toml").read_text(), re.DOTALL)[1]
    assert [name for name in re.findall(r'"([A-Za-z0-9-]+)', dependencies) if f"\n{name}==" not in pins] == []

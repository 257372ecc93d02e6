"""The checks of Flow hold for this repository's own documentation, and Flow needs nothing but Python."""

import ast
import sys
from pathlib import Path

from treadle.flow.checks.catalog import chosen, find_all

ROOT = Path(__file__).parents[2]
FLOW = ROOT / "src" / "treadle" / "flow"


def test_each_top_folder_says_what_lies_in_it():
    found = find_all(ROOT, chosen("F18", ""), ["tests/data", "src/treadle"])
    assert not found, "\n".join(
        [f"{one.path}:{one.line}: {one.message}" for one in found] + ["Mend it with: scripts/fix"]
    )


def test_the_documentation_contradicts_itself_nowhere():
    found = find_all(ROOT / "docs", chosen("F01,F02,F06,F09,F11", ""))
    assert [f"{one.path}:{one.line}: {one.message}" for one in found] == []


def test_flow_imports_only_the_standard_library_and_lower_rooms():
    for path in FLOW.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                top = name.partition(".")[0]
                allowed = top in sys.stdlib_module_names or top == "treadle" or path.stem.startswith("gates")
                assert allowed, f"{path.name} imports {name}"

"""The benchmarks are run by hand and by nothing else, so what they take from the product is looked for here."""

import ast
import importlib.util
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


def _taken(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("treadle"):
            yield from ((node.module, name.name) for name in node.names)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_a_benchmark_takes_names_that_are_there(path):
    for module, name in _taken(path):
        found = importlib.import_module(module)
        room = hasattr(found, "__path__") and importlib.util.find_spec(f"{module}.{name}")
        assert hasattr(found, name) or room, f"{module}.{name}"

"""Files and functions stay small enough to be read in one go. No exceptions list."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
NATIVE = sorted(path for pattern in ("*.cpp", "*.h") for path in (ROOT / "src").rglob(pattern))
MOST_LINES_OF_A_FILE = 600
MOST_LINES_OF_A_FUNCTION = 60
MOST_PARAMETERS = 8
VAGUE_NAMES = {"utils", "common", "core", "helpers", "misc", "manager", "util"}


@pytest.mark.parametrize("path", SOURCES + NATIVE, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_source_file_is_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES_OF_A_FILE


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_functions_are_short_and_take_few_parameters(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        assert node.end_lineno - first < MOST_LINES_OF_A_FUNCTION + 20 * _is_operation(node), node.name
        arguments = node.args
        names = [one.arg for one in arguments.posonlyargs + arguments.args + arguments.kwonlyargs]
        counted = [name for name in names if name not in {"self", "cls"}]
        assert len(counted) <= MOST_PARAMETERS + 2 * _is_operation(node), node.name


def _is_operation(node):
    """An operation's signature is its form: two fields more, and one help text a field, which stand above the body."""
    return any(isinstance(one, ast.Call) and getattr(one.func, "id", "") == "operation" for one in node.decorator_list)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_room_or_file_has_a_vague_name(path):
    assert not VAGUE_NAMES & {path.stem, *path.relative_to(ROOT).parts}


@pytest.mark.parametrize(
    "path", [path for path in SOURCES if path.name == "__init__.py"], ids=lambda path: str(path.relative_to(ROOT))
)
def test_the_init_of_a_room_is_one_docstring(path):
    if path.parent.name == "treadle":
        pytest.skip("the package root exports")
    body = ast.parse(path.read_text(encoding="utf-8")).body
    assert len(body) == 1
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))

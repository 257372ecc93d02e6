"""What the no-mock gate finds by reading test files, without running them."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, TypeGuard

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

MOCKING_MODULES = frozenset(
    {
        *("aioresponses", "asynctest", "betamax", "doublex", "flexmock", "httmock", "httpretty", "mock", "mocket"),
        *("mockito", "moto", "pook", "pyfakefs", "pytest_httpx", "pytest_mock", "pytest_responses", "requests_mock"),
        *("respx", "responses", "unittest.mock", "vcr"),
    }
)
"""Libraries whose purpose is to stand in for code, for servers or for files."""
_IMPORTERS = {"import_module", "__import__", "importorskip"}
_TEST_FOLDERS = {"tests", "test", "testing", "docs", "examples", "benchmarks", "scripts"}


def is_mocking(module: str) -> bool:
    """Whether a module, or the package that it lies in, is one of the mocking libraries."""
    root, _, rest = module.partition(".")
    return root in MOCKING_MODULES or (root == "unittest" and rest.split(".")[0] == "mock")


def products_of(paths: Iterable[str]) -> set[str]:
    """The packages that a tree is about, from its paths: those below `src/`, else those at its top."""
    packages = [path.split("/") for path in paths if path.endswith("/__init__.py")]
    below_src = {parts[1] for parts in packages if parts[0] == "src" and len(parts) == 3}
    return below_src or {parts[0] for parts in packages if len(parts) == 2 and parts[0] not in _TEST_FOLDERS}


def mocks_in(text: bytes, products: Collection[str] = ()) -> list[tuple[int, str]]:
    """Lines of a Python file that bring in a mocking library or replace code of the product, each with a reason.

    Text that is not Python has no findings; whoever runs it says so.
    """
    try:
        module = ast.parse(text)
    except (SyntaxError, ValueError):
        return []
    nodes = list(ast.walk(module))
    names = {name for node in nodes for name in _bound_to(node, products)}
    found = {
        (node.lineno, reason) for node in nodes for reason in _reasons(node, names, products) if hasattr(node, "lineno")
    }
    return sorted(found)


def tests_in(text: bytes) -> list[range]:
    """The lines of each test function of a Python file, its decorators included."""
    try:
        nodes = list(ast.walk(ast.parse(text)))
    except (SyntaxError, ValueError):
        return []
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [
        range(min([node.lineno, *(one.lineno for one in node.decorator_list)]), (node.end_lineno or node.lineno) + 1)
        for node in functions
        if node.name.startswith("test")
    ]


def _bound_to(node: ast.AST, products: Collection[str]) -> Iterator[str]:
    """Names that an import statement binds to modules, classes and functions of the product."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            if alias.name.split(".")[0] in products:
                yield alias.asname or alias.name.split(".")[0]
    elif isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").split(".")[0] in products:
        yield from (alias.asname or alias.name for alias in node.names)


def _reasons(node: ast.AST, names: Collection[str], products: Collection[str]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (f"imports {alias.name}" for alias in node.names if is_mocking(alias.name))
    elif isinstance(node, ast.ImportFrom) and not node.level:
        whole = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        yield from (f"imports {name}" for name in whole[:1] if is_mocking(name))
        yield from (f"imports {name}" for name in whole[1:] if name in MOCKING_MODULES)
    elif isinstance(node, ast.Call):
        yield from _calls(node, names, products)
    elif isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign | ast.Delete):
        targets = node.targets if isinstance(node, ast.Assign | ast.Delete) else [node.target]
        for target in targets:
            yield from _replaced(target, names, products)


def _calls(node: ast.Call, names: Collection[str], products: Collection[str]) -> Iterator[str]:
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    first = node.args[0] if node.args else None
    if (
        called in _IMPORTERS
        and isinstance(first, ast.Constant)
        and isinstance(first.value, str)
        and is_mocking(first.value)
    ):
        yield f"imports {first.value}"
    if called in {"setattr", "delattr"} and isinstance(node.func, ast.Name) and _root(first) in names:
        yield f"replaces {ast.unparse(node.args[0])} of the product by {called}"
    on = ast.unparse(node.func.value) if isinstance(node.func, ast.Attribute) else ""
    if on == "sys.modules" and called in {"pop", "update", "setdefault", "clear"} and not _foreign(first, products):
        yield f"swaps modules by sys.modules.{called}"


def _replaced(target: ast.expr, names: Collection[str], products: Collection[str]) -> Iterator[str]:
    if isinstance(target, ast.Tuple | ast.List):
        for inner in target.elts:
            yield from _replaced(inner, names, products)
    elif isinstance(target, ast.Attribute) and _root(target) in names:
        yield f"replaces {ast.unparse(target)} of the product"
    elif _is_entry_of_modules(target) and not _foreign(target.slice, products):
        yield f"swaps a module by {ast.unparse(target)}"


def _is_entry_of_modules(target: ast.expr) -> TypeGuard[ast.Subscript]:
    return isinstance(target, ast.Subscript) and ast.unparse(target.value) == "sys.modules"


def _foreign(name: ast.expr | None, products: Collection[str]) -> bool:
    """Whether it is written out that a module is none of the product's."""
    if not isinstance(name, ast.Constant) or not isinstance(name.value, str):
        return False
    return name.value.split(".")[0] not in products


def _root(node: ast.AST | None) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""

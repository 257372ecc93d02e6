"""The no-mock gate, a pytest plugin: `python -m pytest -p treadle.flow.gates`.

A test that replaces code of the product tests the replacement. With this plugin such a test fails and says what it
did: importing a mocking library, a fixture of one, `monkeypatch` on a function or class, assignment to an attribute of
the product, another module in `sys.modules`. Environment variables, folders and plain data may be changed as ever.

The product is the packages below `src/`, else those at the top of the tree, unless the ini option `gate_product` names
them. The gate sees what happens in its own process; a test that is determined to deceive it can, and a reader will see.
"""

from __future__ import annotations

import builtins
import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from treadle.flow.gates_identity import Identities, ask_before_setting, files_outward, is_code
from treadle.flow.gates_reading import is_mocking, mocks_in, products_of, tests_in

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

_HERE = str(Path(__file__).with_name("gates"))
_SITE = ("/site-packages/", "/dist-packages/")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the option that names the product."""
    parser.addini("gate_product", "packages whose code tests may not replace", type="linelist", default=[])


def pytest_configure(config: pytest.Config) -> None:
    """Put the gate up."""
    products = set(config.getini("gate_product")) or products_of(_packages(config.rootpath))
    if not products:
        raise pytest.UsageError(
            "The no-mock gate finds no package here; name it: gate_product = PACKAGE in pytest's ini."
        )
    config.pluginmanager.register(NoMocks(config.rootpath, Identities(products)), "treadle-no-mocks")


def _packages(root: Path) -> list[str]:
    found = [*root.glob("*/__init__.py"), *root.glob("src/*/__init__.py")]
    return [path.relative_to(root).as_posix() for path in found]


class NoMocks:
    """Fails tests that replace code, and puts the code back."""

    def __init__(self, root: Path, identities: Identities) -> None:
        """Watch the tests below `root`, and the product whose identities are given."""
        self.root = root
        self.identities = identities
        self.breaches: list[str] = []
        self._pending: list[str] = []
        self._undo: list[Callable[[], None]] = []
        self._read: dict[Path, tuple[list[tuple[int, str]], list[range]]] = {}
        self._place()

    def _place(self) -> None:
        """Put questions in front of importing and setting attributes."""
        self._wrap(builtins, "__import__", self._import)
        self._wrap(importlib, "import_module", self._import_module)
        self._wrap(builtins, "setattr", self._set)
        self._wrap(builtins, "delattr", self._delete)
        for name in ("setattr", "delattr"):
            self._wrap(pytest.MonkeyPatch, name, self._patch)
        for name in ("setitem", "delitem"):
            self._wrap(pytest.MonkeyPatch, name, self._patch_item)
        ask_before_setting(self._ask)

    def _wrap(self, owner: Any, name: str, ask: Callable[..., None]) -> None:  # noqa: ANN401 - a module or a class
        original = getattr(owner, name)

        def asking(*given: Any, **named: Any) -> Any:  # noqa: ANN401 - whatever the original takes
            ask(*given, **named)
            return original(*given, **named)

        asking.__name__, asking.__doc__ = original.__name__, original.__doc__
        setattr(owner, name, asking)
        self._undo.append(lambda: setattr(owner, name, original))

    def pytest_unconfigure(self) -> None:
        """Take the gate down."""
        ask_before_setting(None)
        while self._undo:
            self._undo.pop()()

    def breach(self, what: str) -> None:
        """Fail what is going on now, in a way that neither `except Exception` nor a skip can swallow."""
        self._note(what)
        raise pytest.fail.Exception(_said([what]), pytrace=False)

    def _note(self, what: str) -> None:
        self._pending.append(what)
        self.breaches.append(what)

    def _own(self, file: str) -> bool:
        return file.startswith(f"{self.root}/") and not any(mark in file for mark in _SITE)

    def _asker(self) -> str:
        """The file of whoever asks, this plugin left out."""
        return next((file for file in files_outward() if not file.startswith(_HERE)), "")

    def _import(self, name: str, *rest: Any, **_: Any) -> None:  # noqa: ANN401 - the signature of `__import__`
        names = (rest[2] if len(rest) > 2 else None) or ()
        whole = [name, *(f"{name}.{one}" for one in names)] if name == "unittest" else [name]
        mocking = next((one for one in whole if is_mocking(one)), None)
        if mocking is not None and not (rest[3:] and rest[3]) and self._own(self._asker()):
            self.breach(f"{self._near(self._asker())} imports {mocking}")

    def _import_module(self, name: str, package: str | None = None) -> None:  # noqa: ARG002 - as importlib has it
        if is_mocking(name) and self._own(self._asker()):
            self.breach(f"{self._near(self._asker())} imports {name}")

    def _near(self, file: str) -> str:
        return str(Path(file).relative_to(self.root)) if self._own(file) else file

    def _ask(self, owner: object, name: str, value: object) -> None:
        if self.identities.is_code_of_the_product(owner, name) and vars(owner).get(name) is not value:
            self.breach(f"{_label(owner)}.{name} of the product was to be replaced")

    def _set(self, owner: object, name: str, value: object) -> None:
        if (
            self.identities.is_code_of_the_product(owner, name)
            and getattr(owner, "__dict__", {}).get(name) is not value
        ):
            self.breach(f"{_label(owner)}.{name} of the product was to be replaced")

    def _delete(self, owner: object, name: str) -> None:
        if self.identities.is_code_of_the_product(owner, name) and name in getattr(owner, "__dict__", {}):
            self.breach(f"{_label(owner)}.{name} of the product was to be removed")

    def _patch(self, _patcher: object, target: object, name: object = None, *_: Any, **__: Any) -> None:  # noqa: ANN401
        """`monkeypatch.setattr` takes an owner and a name, or a dotted text."""
        if isinstance(target, str):
            owner, _dot, attribute = target.rpartition(".")
            value = _reach(target)
        else:
            owner, attribute = _label(target), str(name)
            value = getattr(target, attribute, None)
        if is_code(value):
            self.breach(f"monkeypatch was to replace {owner}.{attribute}")

    def _patch_item(self, _patcher: object, table: object, name: object, *_: Any, **__: Any) -> None:  # noqa: ANN401
        if table is sys.modules:
            self.breach(f"monkeypatch was to swap the module {name}")
        owner = next((one for one in self.identities.modules.values() if vars(one) is table), None)
        if owner is not None and is_code(vars(owner).get(str(name))):
            self.breach(f"monkeypatch was to replace {owner.__name__}.{name}")

    @pytest.hookimpl(tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> None:
        """Refuse the fixtures of mocking libraries, also when they are asked for by name."""
        module = fixturedef.func.__module__ or ""
        if is_mocking(module):
            # Not raised, since pytest counts on the fixture's function to do that; this phase fails all the same.
            self._note(f"the fixture `{fixturedef.argname}` comes from {module.split('.')[0]}")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Read the test's file, and the `conftest.py` files above it, before it runs."""
        self.identities.learn()
        for folder in [item.path.parent, *item.path.parent.parents]:
            conftest = folder / "conftest.py"
            if folder.is_relative_to(self.root) and conftest.exists():
                self._refuse(conftest, 0)
        self._refuse(item.path, (item.location[1] or 0) + 1)

    def _refuse(self, path: Path, line: int) -> None:
        """Refuse what a file says outside of its tests, and in the test that begins at `line`."""
        if path not in self._read:
            text = path.read_bytes() if path.suffix == ".py" else b""
            self._read[path] = (mocks_in(text, self.identities.products), tests_in(text))
        findings, tests = self._read[path]
        others = [test for test in tests if line not in test]
        rows = [(place, reason) for place, reason in findings if not any(place in test for test in others)]
        if rows:
            self.breach("; ".join(f"{self._near(str(path))}:{place} {reason}" for place, reason in rows))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Fail what breached the gate, whatever the test made of it: caught it, skipped, expected to fail."""
        replaced = self.identities.replaced() if call.when != "setup" or call.excinfo else []
        self.identities.learn()
        self.breaches += replaced
        said, self._pending = _said([*self._pending, *replaced]), []
        report = yield
        if said and (not report.failed or hasattr(report, "wasxfail")):
            report.outcome = "failed"
            report.longrepr = said
            if hasattr(report, "wasxfail"):
                del report.wasxfail
        elif replaced:
            report.sections.append(("no-mock gate", said))
        return report

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """A run with a breach is no success, even if every test says so."""
        if self.breaches and session.exitstatus in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Name each breach once more, those of the collection included."""
        if self.breaches:
            terminalreporter.section("no-mock gate")
            for breach in dict.fromkeys(self.breaches):
                terminalreporter.line(breach)


def _said(breaches: list[str]) -> str:
    if not breaches:
        return ""
    return f"No-mock gate: {'; '.join(dict.fromkeys(breaches))}. Test the real thing: real files, processes, servers."


def _label(owner: object) -> str:
    if isinstance(owner, type):
        return f"{owner.__module__}.{owner.__qualname__}"
    name = getattr(owner, "__name__", None)
    return name if isinstance(name, str) else f"{type(owner).__module__}.{type(owner).__qualname__}"


def _reach(dotted: str) -> object:
    """What a dotted text leads to, as `monkeypatch` would find it; None if it leads nowhere."""
    parts = dotted.split(".")
    found: object = None
    for place in range(len(parts) - 1, 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:place]))
        except ImportError:
            continue
        for part in parts[place:]:
            found = getattr(found, part, None)
        return found
    return None

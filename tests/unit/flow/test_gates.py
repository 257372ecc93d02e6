"""The no-mock gate in real pytest processes, on a small product; each way of mocking is shown stopped."""

import os
import re
import subprocess
import sys

import pytest

from treadle.flow.gates_reading import mocks_in, products_of

PRODUCT = """
import functools

LIMIT = 3

def price(n):
    return n * 2

@functools.lru_cache
def cached(n):
    return n

class Shop:
    open = True

    def sell(self, n):
        return price(n)

    @classmethod
    def new(cls):
        return cls()

    @property
    def sign(self):
        return "open"
"""
# Stands in for two libraries that are not installed with the tests: a plugin with a fixture, and a fake server.
PYTEST_MOCK = """
import pytest

@pytest.fixture
def mocker():
    from unittest import mock
    return mock
"""
RESPONSES = """
from unittest import mock

def activate(function):
    return function
"""
BREACHES = {
    "unittest_mock": "from unittest import mock\n    with mock.patch('app.shop.price', return_value=1): pass",
    "unittest_mock_whole": "import unittest.mock as m\n    m.Mock()",
    "unittest_mock_by_name": "import importlib\n    name = 'unittest' + '.mock'\n    importlib.import_module(name)",
    "unittest_mock_by_exec": "exec('import unittest.mock')",
    "unittest_mock_caught": "try:\n        __import__('unittest' + '.mock')\n    except BaseException:\n        pass",
    "unittest_mock_skipped": "try: __import__('unittest' + '.mock')\n    except BaseException: pytest.skip('no')",
    "pytest_mock_by_request": "request.getfixturevalue('mock' + 'er')",
    "responses": "import responses",
    "monkeypatch_function": "monkeypatch.setattr(app.shop, 'price', lambda n: 1)",
    "monkeypatch_by_text": "monkeypatch.setattr('app.shop.price', lambda n: 1)",
    "monkeypatch_class": "monkeypatch.setattr(app.shop, 'Shop', object)",
    "monkeypatch_method": "monkeypatch.setattr(app.shop.Shop, 'sell', lambda self, n: 1)",
    "monkeypatch_of_an_instance": "monkeypatch.setattr(app.shop.Shop(), 'sell', lambda n: 1)",
    "monkeypatch_removal": "monkeypatch.delattr(app.shop, 'price')",
    "monkeypatch_of_the_library": "import subprocess\n    monkeypatch.setattr(subprocess, 'run', print)",
    "monkeypatch_module": "monkeypatch.setitem(sys.modules, 'app.shop', object())",
    "monkeypatch_names": "monkeypatch.setitem(vars(app.shop), 'price', print)",
    "context": "with pytest.MonkeyPatch.context() as patch:\n        patch.setattr(app.shop, 'price', print)",
    "setattr_function": "shop = sys.modules['app.shop']\n    setattr(shop, 'price', print)",
    "setattr_class": "shop = sys.modules['app.shop']\n    setattr(shop.Shop, 'sell', print)",
    "setattr_instance": "shop = sys.modules['app.shop']\n    setattr(shop.Shop(), 'sell', print)",
    "delattr_function": "shop = sys.modules['app.shop']\n    delattr(shop, 'price')",
    "assignment_to_a_module": "shop = sys.modules['app.shop']\n    shop.price = print",
    "deletion_from_a_module": "shop = sys.modules['app.shop']\n    del shop.price",
    "assignment_to_a_class": "shop = sys.modules['app.shop']\n    shop.Shop.sell = print",
    "another_property": "shop = sys.modules['app.shop']\n    shop.Shop.sign = property(lambda self: 'x')",
    "another_body": "shop = sys.modules['app.shop']\n    shop.price.__code__ = (lambda n: 1).__code__",
    "names_of_a_module": "vars(sys.modules['app.shop'])['price'] = print",
    "cached_function": "vars(sys.modules['app.shop'])['cached'] = print",
    "module_swap": "modules = sys.modules\n    modules['app.shop'] = type(sys)('app.shop')",
    "module_removal": "modules = sys.modules\n    modules.pop('app.shop')",
    "reload": "import importlib\n    importlib.reload(sys.modules['app.shop'])",
    "expected_failure": "shop = sys.modules['app.shop']\n    shop.Shop.sell = print\n    pytest.xfail('known')",
}
FINE = {
    "environment": "monkeypatch.setenv('A', 'b'); monkeypatch.chdir('/')",
    "data_of_the_product": "monkeypatch.setattr(app.shop, 'LIMIT', 5); assert app.shop.LIMIT == 5",
    "data_of_others": "monkeypatch.setattr(sys, 'argv', ['x'])",
    "attributes_of_instances": "app.shop.Shop().open = False; setattr(app.shop.Shop(), 'open', False)",
    "what_is_as_it_was": "assert app.shop.price(2) == 4 and app.shop.Shop().sell(2) == 4 and app.shop.cached(1) == 1",
    "a_class_of_the_tests_own": "Own = type('Own', (), {'f': print}); Own.f = len; setattr(Own, 'f', print)",
    "imports_of_the_product": "import app.late; assert app.late.VALUE == 1",
}
ALONE = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
HEAD = "import sys\nimport pytest\nimport app.shop\nimport app\n"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    files = {
        "src/app/__init__.py": "",
        "src/app/shop.py": PRODUCT,
        "src/app/late.py": "VALUE = 1\n",
        "site/site-packages/pytest_mock.py": PYTEST_MOCK,
        "site/site-packages/responses.py": RESPONSES,
        "tests/test_breaches.py": HEAD + "".join(_test(name, body) for name, body in BREACHES.items()),
        "tests/test_fine.py": HEAD + "".join(_test(name, body) for name, body in FINE.items()),
        "tests/test_fixture.py": "def test_with_mocker(mocker):\n    mocker.patch('app.shop.price')\n",
        "tests/test_import_above.py": "import unittest.mock\n\ndef test_nothing():\n    pass\n",
        "tests/test_skips.py": "import pytest\npytest.importorskip('pytest_mock')\n\ndef test_nothing():\n    pass\n",
        "tests/deep/conftest.py": "import app.shop\n\ndef break_it():\n    app.shop.price = print\n",
        "tests/deep/test_under_a_conftest.py": "def test_nothing():\n    pass\n",
        "tests/restored/test_by_hand.py": "from app import shop\n\ndef test_by_hand():\n    before = shop.Shop.sell\n"
        "    shop.Shop.sell = print\n    shop.Shop.sell = before\n",
        "pytest.ini": "[pytest]\naddopts = --import-mode=importlib\npythonpath = src site/site-packages\n",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def _test(name, body):
    return f"\ndef test_{name}(monkeypatch, request):\n    {body}\n"


@pytest.fixture(scope="module")
def outcomes(project):
    """One run over everything: the outcome of each test, and all that was said."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "treadle.flow.gates",
        "-p",
        "pytest_mock",
        "-p",
        "no:cacheprovider",
    ]
    done = subprocess.run(
        [*command, "-vv", "--continue-on-collection-errors", "tests"],
        cwd=project,
        capture_output=True,
        text=True,
        env=ALONE,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    found = dict(re.findall(r"::test_(\w+) (PASSED|FAILED|SKIPPED|XFAIL|XPASS|ERROR)", said))
    return found, said


@pytest.mark.parametrize("breach", BREACHES)
def test_a_test_that_replaces_code_fails_and_says_how(outcomes, breach):
    found, said = outcomes
    assert found[breach] in {"FAILED", "ERROR"}, said[-3000:]
    assert "No-mock gate: " in said


@pytest.mark.parametrize("what", FINE)
def test_what_replaces_no_code_passes_also_after_all_the_breaches(outcomes, what):
    found, said = outcomes
    assert found[what] == "PASSED", said[-3000:]


def test_a_fixture_of_a_mocking_library_is_refused(outcomes):
    assert outcomes[0]["with_mocker"] in {"FAILED", "ERROR"}
    assert "the fixture `mocker` comes from pytest_mock" in outcomes[1]


def test_an_import_at_the_top_of_a_file_stops_its_collection(outcomes):
    assert "ERROR tests/test_import_above.py" in outcomes[1]
    assert "tests/test_import_above.py imports unittest.mock" in outcomes[1]


def test_reading_finds_what_leaves_no_trace(outcomes):
    assert outcomes[0]["by_hand"] in {"FAILED", "ERROR"}
    assert "tests/restored/test_by_hand.py:5 replaces shop.Shop.sell of the product" in outcomes[1]


def test_a_conftest_is_read_too(outcomes):
    assert "tests/deep/conftest.py:4 replaces app.shop.price of the product" in outcomes[1]


def test_a_run_whose_tests_all_pass_passes(project):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "treadle.flow.gates", "-p", "no:cacheprovider"]
    done = subprocess.run([*command, "tests/test_fine.py"], cwd=project, capture_output=True, text=True, env=ALONE)
    assert done.returncode == 0, done.stdout
    assert "no-mock gate" not in done.stdout


def test_without_the_gate_the_same_tests_pass(project):
    """What the gate stops are things that work."""
    chosen = "unittest_mock or monkeypatch_class or setattr_function or assignment_to_a_class"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", chosen]
    done = subprocess.run([*command, "tests/test_breaches.py"], cwd=project, capture_output=True, text=True, env=ALONE)
    assert " failed" in done.stdout or done.returncode == 0
    assert "No-mock gate" not in done.stdout


def test_a_tree_without_a_package_says_how_to_name_one(tmp_path):
    (tmp_path / "test_a.py").write_text("def test_a():\n    pass\n")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "treadle.flow.gates",
        "--rootdir",
        tmp_path,
        "-p",
        "no:cacheprovider",
    ]
    done = subprocess.run([*command, "test_a.py"], cwd=tmp_path, capture_output=True, text=True, env=ALONE)
    assert done.returncode == 4
    assert "gate_product" in done.stderr


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        ("from unittest.mock import patch", ["imports unittest.mock"]),
        ("import unittest", []),
        ("from unittest import TestCase", []),
        ("from .mock import thing", []),
        ("import mockery", []),
        ("import requests_mock.mocker", ["imports requests_mock.mocker"]),
        ("import pytest\npytest.importorskip('responses')", ["imports responses"]),
        ("import app\nx, app.f = 1, 2", ["replaces app.f of the product"]),
        ("import app\ndel app.f", ["replaces app.f of the product"]),
        ("import app as a\na.f += 1", ["replaces a.f of the product"]),
        ("from app import Shop\nsetattr(Shop, 'sell', print)", ["replaces Shop of the product by setattr"]),
        ("import sys\nsys.modules['app'] = 1", ["swaps a module by sys.modules['app']"]),
        ("import sys\nsys.modules.pop('app')", ["swaps modules by sys.modules.pop"]),
        ("import sys\nsys.modules['other'] = sys.modules.pop('another')", []),
        ("import other\nother.f = 1", []),
        ("this is no Python", []),
    ],
)
def test_reading_names_the_line_and_the_reason(text, reasons):
    assert [reason for _, reason in mocks_in(text.encode(), {"app"})] == reasons


def test_the_product_is_what_lies_below_src_else_at_the_top():
    assert products_of(["src/app/__init__.py", "tests/__init__.py", "src/app/deep/__init__.py"]) == {"app"}
    assert products_of(["app/__init__.py", "tests/__init__.py", "docs/conf.py"]) == {"app"}

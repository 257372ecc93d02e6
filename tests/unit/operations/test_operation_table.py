"""One operation is found without reading all modules, and it is the one of the table."""

import subprocess
import sys

import pytest

from treadle.operations.operation import find_operation, operations


@pytest.mark.parametrize("name", sorted(operations()))
def test_an_operation_that_is_looked_up_is_the_one_of_the_table(name):
    assert find_operation(name) is operations()[name]


@pytest.mark.parametrize("name", ["", "nothing", "jobs", "jobs.", "jobs.nothing", "nothing.list", ".", "train.list"])
def test_what_is_no_operation_is_none(name):
    assert find_operation(name) is None


def test_looking_up_one_operation_leaves_the_modules_of_others_alone():
    code = (
        "import sys; from treadle.operations.operation import find_operation; assert find_operation('train');"
        "print(*(name for name in sys.modules if name.startswith('treadle.operations.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "treadle.operations.training" in done.stdout
    assert not any(f"operations.{other}" in done.stdout for other in ("flow", "jobs", "models", "data", "worker"))

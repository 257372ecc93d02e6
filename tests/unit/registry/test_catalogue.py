import sys

import pytest

from treadle.base.errors import UsageError
from treadle.registry.catalogue import Catalogue, load


def test_a_catalogue_lists_without_importing_and_imports_on_use():
    sys.modules.pop("wave", None)
    catalogue = Catalogue("sound", {"wave": "wave:open"})
    assert catalogue.names() == ["wave"]
    assert "wave" in catalogue
    assert "wave" not in sys.modules
    assert catalogue.get("wave") is load("wave:open")


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(UsageError, match=r"Unknown family `gtp`\. Did you mean `gpt`\? Known: gpt, rnn\."):
        Catalogue("family", {"gpt": "x:y", "rnn": "x:z"}).get("gtp")

from __future__ import annotations

import pytest

from treadle.data.document import Document
from treadle.data.steps.cleaning import cleaned
from treadle.data.steps.config import DatasetSettings
from treadle.data.steps.personal import masked


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Write to ada.b+c@mail.example.org.", "Write to <e-mail>."),
        ("from 8.8.8.8 to 192.168.1.1", "from <ip-address> to 192.168.1.1"),
        ("version 1.2.3.4.5, 999.1.1.1, a @ b", "version 1.2.3.4.5, 999.1.1.1, a @ b"),
    ],
)
def test_addresses_become_signs(text: str, expected: str) -> None:
    assert "".join(masked([text], {})) == expected


def test_the_step_is_taken_when_it_is_named() -> None:
    draft = cleaned(Document.from_text("me@example.org\n", "a"), DatasetSettings(step=("personal",)))
    assert "".join(draft.pieces()) == "<e-mail>\n"
    assert draft.metadata["masked"] == 1

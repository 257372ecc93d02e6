"""The pages that let models write, without a browser; a model of a few steps is enough."""

import pytest

from treadle.operations.api import Workspace
from treadle.store.workspace import create_workspace

SMALL = [
    "family.layers=1",
    "family.width=32",
    "family.heads=1",
    "data.sequence_length=32",
    "training.batch_size=2",
    "training.sample_every=2",
    "generation.temperature=0.5",
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A workspace with a model that made four steps, with a sample after each two."""
    workspace = create_workspace(tmp_path_factory.mktemp("generate") / "lab")
    lab = Workspace(workspace.root)
    lab.new("bard", SMALL, size="nano", tokenizer="char")
    text = workspace.root.parent / "hamlet.txt"
    text.write_text("To be, or not to be, that is the question.\n" * 40)
    lab.feed("bard", [text])
    lab.train("bard", steps=4)
    return workspace


@pytest.fixture
def workspace(trained):
    """The application of these tests stands over that workspace."""
    return trained


def test_the_playground_begins_with_the_models_own_settings(client):
    text = client.get("/generate?prompt=To+%3Cb%3E&seed=7&step=4").text
    assert 'value="0.5"' in text
    assert "To &lt;b&gt;</textarea>" in text
    assert '<option value="4" selected>step 4</option>' in text
    assert text.count("data-side=") == 2
    assert "Step 2" in text, "what it wrote while it was trained"
    assert 'name="temperature"' in client.get("/generate/chat").text


def test_a_text_streams_and_tells_how_likely_its_tokens_were(client):
    asked = {"model": "bard", "prompt": "To", "tokens": 5, "seed": 1, "logprobs": 2}
    first, again = (client.post("/api/v1/operations/sample", json=asked).text for _ in range(2))
    assert '"type":"text"' in first
    assert '"logprobs":[{' in first
    assert first.split('"ids"')[1] == again.split('"ids"')[1]


def test_a_text_is_looked_into_token_by_token(client, call):
    found = call("inspect", model="bard", text="To be")
    assert [token["text"] for token in found["tokens"]] == list("To be")
    assert found["maps"] == []
    assert "Loss of each token" in client.get("/generate/inspect").text


def test_attention_is_told_as_numbers(call, client):
    pytest.importorskip("torch", reason="torch is not installed")
    found = call("inspect", model="bard", text="To be", maps=1)
    assert found["layers"] == 1
    assert [len(row) for row in found["maps"][0]] == [1, 2, 3, 4, 5, 6]
    assert all(abs(sum(row) - 1) < 0.01 for head in found["maps"] for row in head)
    wrong = client.post("/api/v1/operations/inspect", json={"model": "bard", "text": "To", "maps": 2})
    assert (wrong.status_code, "layers 1 to 1" in wrong.json()["error"]) == (422, True)

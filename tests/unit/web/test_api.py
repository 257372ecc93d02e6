"""The API over ASGI: every operation, its arguments, its errors, its description."""

import pytest

from treadle.operations.operation import operations
from treadle.web.answers import to_json
from treadle.web.door import offered
from treadle.web.openapi import arguments_schema, description, example


def errors(answer, status):
    assert answer.status_code == status, answer.text
    told = answer.json()
    assert set(told) == {"ok", "error", "kind", "remedy"}
    assert told["ok"] is False
    return told


def test_an_operation_answers_as_it_does_in_python(call):
    made = call("new", name="bard", size="nano", tokenizer="char")
    assert made["name"] == "bard"
    assert made["settings"]["data.tokenizer"]["value"] == "char"
    assert [model["name"] for model in call("list")["models"]] == ["bard"]


def test_a_heavy_operation_answers_at_once_with_its_place_in_the_queue(call):
    call("new", name="bard", size="nano", tokenizer="char")
    call("jobs.pause", model="bard")
    first = call("train", model="bard", minutes=0.01)
    second = call("train", model="bard", minutes=0.01, priority=0)
    assert (first["position"], second["position"]) == (1, 2)
    assert second["state"] == "ready"
    call("jobs.stop", job=first["job"])
    assert call("jobs.show", job=second["job"])["job"]["place"] == 1


def test_an_unknown_operation_is_told_with_the_nearest(client):
    told = errors(client.post("/api/v1/operations/lst", json={}), 404)
    assert "Did you mean `list`?" in told["error"]


def test_errors_of_operations_have_their_status_and_a_remedy(client):
    told = errors(client.post("/api/v1/operations/show", json={"model": "bard"}), 404)
    assert told["kind"] == "NotFound"
    assert "treadle new bard" in told["remedy"]
    told = errors(client.post("/api/v1/operations/new", json={"name": "../x"}), 422)
    assert told["kind"] == "Usage"
    told = errors(client.post("/api/v1/operations/new", json={"nam": "x"}), 422)
    assert "Did you mean `name`" in told["error"] or "needs `name`" in told["error"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b'{"model": NaN}', 400),
        (b'{"model": "\\ud800"}', 422),
        (b'{"model": "a\\u0000b"}', 422),
        (b'{"job": 1%s}' % (b"0" * 40), 422),
        (b'{"model": ' + b"[" * 100 + b"]" * 100 + b"}", 422),
        (b"[" * 200_000, 400),
    ],
)
def test_a_body_that_is_no_object_of_plain_values_is_refused(client, body, status):
    errors(client.post("/api/v1/operations/show", content=body, headers={"content-type": "application/json"}), status)


def test_a_form_of_a_foreign_page_is_refused_by_its_type(client):
    answer = client.post("/api/v1/operations/list", data={"model": "x"})
    assert errors(answer, 415)["kind"] == "Usage"


def test_a_body_without_end_is_refused_before_it_fills_the_memory(client):
    answer = client.post("/api/v1/operations/show", content=(b"x" * 1_000_000 for _ in range(10)))
    errors(answer, 413)


def test_what_only_makes_sense_at_the_machine_is_not_offered(client):
    hidden = set(operations()) - set(offered())
    assert hidden == {
        "init",
        "mcp",
        "serve",
        "ui",
        "worker.run",
        "worker.install",
        "flow.guard.init",
        "flow.guard.run",
        "flow.guard.test-first",
        "host.add",
        "host.remove",
        "host.image.build",
        "host.image.pin",
        "host.image.pull",
        "host.checkpoints.download",
        "host.checkpoints.manifest",
    }
    for name in hidden:
        refused(client, name)


def refused(client, name):
    errors(client.post(f"/api/v1/operations/{name}", json={}), 404)


def test_standard_input_of_the_server_is_nobodys_to_read(client, call):
    call("new", name="bard", size="nano")
    errors(client.post("/api/v1/operations/feed", json={"model": "bard", "paths": ["-"]}), 422)


def test_what_the_server_has_no_page_for_is_told_as_a_page(client):
    answer = client.get("/nowhere")
    assert answer.status_code == 404
    assert "There is nothing at /nowhere" in answer.text
    assert answer.headers["content-type"].startswith("text/html")
    errors(client.get("/api/v1/nowhere"), 404)


def test_the_table_lists_every_offered_operation_with_its_schema(client):
    table = client.get("/api/v1/operations").json()["operations"]
    assert {entry["name"] for entry in table} == set(offered())
    train = next(entry for entry in table if entry["name"] == "train")
    assert train["level"] == "operator"
    assert train["schema"]["required"] == ["model"]
    assert "detach" not in train["schema"]["properties"]


def test_the_openapi_document_describes_every_operation_with_examples_that_fit():
    document = description("http://127.0.0.1:1")
    for name, entry in offered().items():
        post = document["paths"][f"/api/v1/operations/{name}"]["post"]
        body = post["requestBody"]["content"]["application/json"]
        for shown in body.get("examples", {}).values():
            assert set(shown["value"]) <= set(body["schema"]["properties"]), shown
            assert set(body["schema"].get("required", ())) <= set(shown["value"]), shown
        assert post["operationId"] == entry.method
    assert "$defs" not in to_json(document)


def test_most_operations_have_an_example():
    shown = [entry for entry in offered().values() if any(example(entry, line) is not None for line in entry.examples)]
    assert len(shown) > 0.9 * len(offered())


def test_settings_may_be_given_by_their_own_names(client):
    assert "temperature" in arguments_schema(offered()["sample"])["properties"]
    told = errors(client.post("/api/v1/operations/sample", json={"model": "bard", "temperature": "hot"}), 422)
    assert "temperature" in told["error"]


def test_an_interactive_operation_that_cannot_begin_says_so_by_its_status(client, call):
    call("new", name="bard", size="nano", tokenizer="char")
    told = errors(client.post("/api/v1/operations/sample", json={"model": "bard"}), 409)
    assert told["kind"] == "NotReady"


def test_numbers_that_json_lacks_become_null():
    assert to_json({"loss": float("nan"), "rows": [float("inf"), 1.5]}) == '{"loss":null,"rows":[null,1.5]}'


def test_a_missing_template_is_our_mistake_and_not_the_users(app):
    from treadle.web.answers import error_facts, status_of

    error = None
    try:
        from treadle.web.page import environment

        environment().get_template("absent.html")
    except Exception as found:
        error = found
    assert status_of(error) == 500
    assert error_facts(error)["kind"] == "Defect"

"""Forms from operations, and what every page shows around its own content."""

import json
import time

import pytest

from treadle.web.forms import fields_of
from treadle.web.page import NAVIGATION, ago, environment, json_data


def by_name(operation, *arguments, **options):
    return {field.name: field for field in fields_of(operation, *arguments, **options)}


def test_parameters_become_fields_with_help_unit_and_kind():
    fields = by_name("train")
    assert fields["model"].required
    assert (fields["minutes"].kind, fields["minutes"].unit) == ("number", "min")
    assert (fields["steps"].kind, fields["steps"].step) == ("integer", "1")
    assert fields["overrides"].kind == "list"
    assert fields["minutes"].help.startswith("Train for")
    assert "detach" not in fields
    assert fields["priority"].default == 0


def test_settings_become_fields_with_their_limits():
    fields = by_name("sample")
    assert (fields["temperature"].minimum, fields["temperature"].maximum) == (0, 100)
    assert fields["temperature"].value == 0.8
    assert fields["stop"].kind == "list"
    assert fields["unknown"].choices == ("error", "skip")


def test_values_and_what_is_fixed_are_shown():
    fields = by_name("train", {"minutes": 3}, only=["minutes", "steps"], fixed={"steps": "the model has weights"})
    assert list(fields) == ["minutes", "steps"]
    assert fields["minutes"].value == 3
    assert fields["steps"].fixed
    assert fields["steps"].reason == "the model has weights"
    assert "password" in {field.kind for field in fields_of("user.add")}


def test_every_operation_has_a_form():
    from treadle.web.door import offered

    for name in offered():
        assert all(field.label for field in fields_of(name)), name


def render(text, **context):
    return environment().from_string(text).render(**context)


FORM = '{% from "macros.html" import form %}{{ form("train", values, hidden={"model": "bard"}, more=["priority"]) }}'


def test_a_form_needs_no_code_and_escapes_what_it_shows():
    shown = render(FORM, values={"minutes": '"><script>'})
    assert 'data-operation="train"' in shown
    assert '<input type="hidden" name="model" value="bard"' in shown
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown or "&#34;&gt;" in shown
    assert shown.index("More settings") < shown.index('name="priority"')
    assert shown.count('name="model"') == 1


def test_data_for_a_page_cannot_end_its_element():
    shown = json_data({"name": "</script><script>alert(1)</script> & \u2028"})
    assert "<" not in shown
    assert "\u2028" not in shown
    assert json.loads(shown)["name"].startswith("</script>")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "just now"), (120, "2 min ago"), (3600, "1 h ago"), (90_000, "1 d ago"), (None, "never")],
)
def test_times_read_as_people_say_them(seconds, said):
    now = time.time()
    assert ago(None if seconds is None else now - seconds, now) == said


def test_a_page_shows_navigation_models_and_the_chosen_one(client, call):
    assert "Teach a model something" in client.get("/").text
    call("new", name="bard", size="nano")
    call("new", name="clio", size="nano")
    page = client.get("/").text
    for _, label, address in NAVIGATION:
        assert f'<a href="{address}"' in page, label
    assert '<option value="bard" selected>' in page
    chosen = client.get("/?model=clio")
    assert '<option value="clio" selected>' in chosen.text
    assert '<option value="clio" selected>' in client.get("/").text, "the choice is remembered"
    assert '<option value="clio" selected>' in client.get("/?model=nobody").text


def test_the_first_page_tells_what_runs_what_waits_and_what_has_ended(client, call):
    call("new", name="bard", size="nano", tokenizer="char")
    call("jobs.pause", model="bard")
    job = call("train", model="bard", minutes=1)["job"]
    page = client.get("/").text
    assert "Paused: bard" in page
    assert "its queue is paused" in page
    call("jobs.stop", job=job)
    assert "cancelled" in client.get("/").text


def test_static_files_are_asked_again_only_when_they_changed(client):
    first = client.get("/static/treadle.css")
    assert first.status_code == 200
    assert client.get("/static/treadle.css", headers={"if-none-match": first.headers["etag"]}).status_code == 304
    assert client.get("/static/../app.py").status_code == 404
    assert client.get("/static/%2e%2e/app.py").status_code == 404

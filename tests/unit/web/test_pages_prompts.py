"""The pages of prompts, without a browser."""

import html
import re

import pytest

from treadle.remote.hosts import HostCard, HostCards

PROBE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def dusk(call):
    """A prompt with two versions."""
    call("prompt.new", name="dusk", prompt=f"A wet street at dusk {PROBE}", tag=["street"], set=["edge=0.6"])
    return call("prompt.edit", name="dusk", text="A dry street at dawn", negative="fog")


def test_the_list_finds_by_words_and_tags_and_offers_templates(client, call, dusk):
    call("prompt.new", name="opening", prompt="ROMEO:", purpose="text")
    text = client.get("/prompts").text
    assert text.index("opening") < text.index(">dusk<"), "the newest first"
    assert 'href="/prompts/new?template=night-drive"' in text
    for query, found in ({"q": "dawn street"}, True), ({"tag": "street"}, True), ({"q": "dusk", "tag": "x"}, False):
        shown = client.get("/prompts", params=query).text
        assert ('href="/prompts/stored/dusk"' in shown) is found
        assert 'href="/prompts/stored/opening"' not in shown


def test_a_template_asks_its_questions_and_shows_what_it_would_say(client, call):
    text = client.get("/prompts/new?template=city-street").text
    asked = call("prompt.wizard", template="city-street")
    assert html.unescape(re.search(r'id="preview-text">([^<]*)<', text)[1]) == asked["text"]
    assert f"<span>{asked['tokens']}</span> tokens of 512" in text
    assert 'data-answer="weather"' in text
    assert "<option>early morning</option>" in text
    assert re.search(r'name="edge"[^>]*value="0.6"', text, re.DOTALL), "the settings of the template"
    assert "Besides those of the template: street." in text
    unknown = client.get("/prompts/new?template=city-streat")
    assert (unknown.status_code, "Did you mean" in unknown.text) == (404, True)
    by_hand = client.get("/prompts/new?purpose=text").text
    assert 'name="temperature"' in by_hand
    assert "What must not be seen" not in by_hand


def test_a_prompt_is_shown_with_its_versions_and_what_differs(client, dusk):
    text = client.get("/prompts/stored/dusk").text
    assert "version 2" in text
    assert PROBE not in text
    assert "<strong>0.6</strong>" in text
    assert ">fog</textarea>" in text
    assert "Neither a control map nor a video" in text
    compared = client.get("/prompts/stored/dusk?version=2&against=1").text
    assert '<span class="come">+A dry street at dawn' in compared
    assert '<span class="gone">-A wet street at dusk &lt;img' in compared
    old = client.get("/prompts/stored/dusk?version=1").text
    assert "This is not the newest version." in old
    assert client.get("/prompts/stored/dusk?version=9").status_code == 404
    assert client.get("/prompts/stored/nobody").status_code == 404


def test_remarks_name_what_is_on_the_page_and_no_flags(client, call):
    call("prompt.new", name="bare", prompt="A street")
    for address in ("/prompts/stored/bare", "/prompts/new?template=city-street"):
        notices = html.unescape(" ".join(re.findall(r'<li class="notice[^"]*">(.*?)</li>', client.get(address).text)))
        assert notices
        assert "--" not in notices
        assert "`" not in notices
    shown = html.unescape(client.get("/prompts/stored/bare").text)
    assert "A model can write more of it, below." in shown
    assert "Add a video to the files that go with it, and give a control a weight in the settings." in shown


def test_what_is_still_to_come_is_no_error_of_a_new_prompt(client, call):
    text = client.get("/prompts/new?template=city-street").text
    assert '<li class="notice">It needs a video' in text
    call("prompt.new", name="street", template="city-street")
    assert '<li class="notice bad">Neither a control map nor a video' in client.get("/prompts/stored/street").text


def test_without_a_host_the_page_says_how_one_comes_to_be(client, call, workspace):
    call("prompt.new", name="film", prompt="A street")
    assert "treadle host add NAME USER@ADDRESS" in client.get("/prompts/stored/film").text
    HostCards(workspace).keep(HostCard("box", "local", "/there", ""))
    assert "treadle host add" not in client.get("/prompts/stored/film").text


def test_hosts_may_write_more_of_prompts_for_videos_only(client, call, workspace):
    call("prompt.new", name="film", prompt="A street")
    call("prompt.new", name="words", prompt="ROMEO:", purpose="text")
    HostCards(workspace).keep(HostCard("box", "local", "/there", ""))
    option = '<option value="box" data-by="host">'
    assert option in client.get("/prompts/stored/film").text
    assert option not in client.get("/prompts/stored/words").text


def test_a_prompt_for_text_opens_in_the_playground(client, call):
    call("prompt.new", name="new", prompt="ROMEO:", purpose="text", set=["temperature=0.3", "seed=7"])
    assert 'href="/generate?saved=new"' in client.get("/prompts/stored/new").text
    assert client.get("/generate?saved=nobody").status_code == 404
    assert client.get("/generate?saved=new").status_code == 200


def test_a_viewer_sees_prompts_and_has_no_buttons(workspace, logged_in):
    logged_in("olga").post("/api/v1/operations/prompt.new", json={"name": "dusk", "prompt": "A street"})
    vic = logged_in("vic")
    for address in ("/prompts", "/prompts/stored/dusk"):
        answer = vic.get(address)
        assert answer.status_code == 200
        assert "A street" in answer.text
        for mark in ("data-call", "data-operation", "/prompts/new", "<textarea"):
            assert mark not in answer.text
    assert vic.get("/prompts/new").status_code == 403

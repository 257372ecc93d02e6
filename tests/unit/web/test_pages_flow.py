"""The pages of the notes, without a browser."""

import pytest

from treadle.operations.api import Workspace

PROBE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def notes(workspace):
    """The workspace's notes with some tasks."""
    lab = Workspace(workspace.root)
    lab.flow_init()
    lab.flow_add("Write the guide", priority="high")
    lab.flow_add(f"Look at {PROBE}", ["owner=ada", "due=2026-01-02"])
    lab.flow_start("write the guide")
    return lab


def test_without_notes_every_page_offers_to_make_them(client):
    for address in ("/flow", "/flow/findings", "/flow/log", "/flow/read"):
        assert 'data-operation="flow.init"' in client.get(address).text


def test_the_board_shows_tasks_by_state_and_priority(client, notes):
    text = client.get("/flow").text
    first, going, *_ = text.split('data-column="')[1:]
    assert "Look at &lt;img" in first
    assert ">Write the guide</a>" in going
    assert PROBE not in text
    assert "due 2026-01-02" in text
    assert "Write the guide" not in client.get("/flow?owner=ada").text.split('class="board"')[1]
    assert "Look at" not in client.get("/flow?priority=high").text.split('class="board"')[1]


def test_a_task_is_shown_with_its_text_fields_and_parts(client, call, notes):
    call("flow.add", title="Draw it", under="write the guide")
    identity = notes.flow_show("write the guide").task.id
    text = client.get("/flow/task", params={"id": identity}).text
    assert "Draw it" in text
    assert 'data-operation="flow.edit"' in text
    assert client.get("/flow/task?id=nowhere").status_code == 404


def test_findings_say_what_mending_would_change(client, call, workspace, notes):
    page = workspace.root / "flow" / "planning" / "ideas.md"
    page.write_text("# Ideas\n\n# Again\n\n[dead](nowhere.md)\n")
    text = client.get("/flow/findings").text
    assert "planning/ideas.md:5" in text
    assert 'aria-label="Mend F09"' in text
    shown = client.get("/flow/findings?preview=F09").text
    assert '<span class="come">+## Again' in shown
    assert page.read_text().startswith("# Ideas\n\n# Again")
    call("flow.check", fix=True, only="F09")
    assert "F09" not in client.get("/flow/findings").text


def test_the_log_and_the_files_read_as_markdown(client, call, notes):
    call("flow.log", text=f"Switched to **Muon** {PROBE}")
    text = client.get("/flow/log").text
    assert "<strong>Muon</strong>" in text
    assert "&lt;img" in text
    assert PROBE not in text
    assert "two weeks" in text.lower()
    read = client.get("/flow/read?path=README.md").text
    assert 'href="/flow/read?path=active/tasks.md"' in read
    assert client.get("/flow/read?path=../../treadle.yaml").status_code == 404


def test_a_viewer_reads_and_changes_nothing(notes, logged_in):
    vic = logged_in("vic")
    (notes.root / "flow" / "planning" / "ideas.md").write_text("# Ideas\n\n# Again\n\n[dead](nowhere.md)\n")
    for address in ("/flow", "/flow/log", "/flow/read", "/flow/findings", "/flow/findings?preview=F09"):
        answer = vic.get(address)
        assert answer.status_code == 200
        assert "data-operation" not in answer.text
        assert "data-call" not in answer.text
    assert "planning/ideas.md:5" in vic.get("/flow/findings").text
    assert "two weeks" in vic.get("/flow/log").text.lower()
    for operation, given in (("flow.check", {"fix": True}), ("flow.review", {"horizon": "two-weeks"})):
        assert vic.post(f"/api/v1/operations/{operation}", json=given).status_code == 403, "with this it changes notes"

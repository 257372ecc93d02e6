"""The pages of the gallery, without a browser."""

import re

import pytest

from treadle.jobs.runs import create_run

PROBE = "<img src=x onerror=alert(1)>"
PICTURE = bytes.fromhex("89504e470d0a1a0a") + bytes(range(256)) * 4


@pytest.fixture
def results(workspace):
    """Two pictures of a run and what they were made from; gives their ids by name."""
    source = workspace.root / "street.png"
    source.write_bytes(PICTURE[::-1])
    said = {"text": f"A street {PROBE}", "video": str(source)}
    requests = [{"spec": {"name": name, **said}, "prompt": {"name": "dusk"}} for name in ("warm", "cold")]
    folder = create_run(workspace, "transfer.run", {"requests": requests})
    for name in ("warm.png", "cold.png"):
        (folder.outputs / name).write_bytes(PICTURE)
    folder.write_result({"outcome": "done", "value": {}})
    from treadle.operations.api import Workspace

    return {item.name: item.id for item in Workspace(workspace.root).gallery_list().items}


def test_the_grid_shows_results_by_words_tags_and_rating(client, call, results):
    call("gallery.rate", item=results["warm.png"], rating=4)
    call("gallery.tag", item=results["cold.png"], tags=["final"])
    text = client.get("/gallery").text
    assert "★★★★☆" in text
    assert "A street &lt;img" in text
    assert PROBE not in text
    for query, names in (
        ({"rating": "3"}, {"warm.png"}),
        ({"tag": "final"}, {"cold.png"}),
        ({"q": "street warm"}, {"warm.png"}),
        ({"kind": "video"}, set()),
        ({"removed": "1"}, set()),
        ({"rating": "x", "order": "x", "count": "1"}, {"cold.png"}),
    ):
        shown = client.get("/gallery", params=query).text
        assert {name for name in results if f'id="tile-{results[name]}"' in shown} == names, query
    call("gallery.remove", item=results["warm.png"])
    assert results["warm.png"] in client.get("/gallery?removed=1").text
    assert results["warm.png"] not in client.get("/gallery").text


def test_a_result_is_shown_beside_its_original_in_pieces(client, results):
    item = results["warm.png"]
    text = client.get(f"/gallery/{item}").text
    assert f'src="/gallery/{item}/original"' in text
    assert 'href="/prompts/stored/dusk"' in text
    whole = client.get(f"/gallery/{item}/file")
    assert (whole.content, whole.headers["content-type"]) == (PICTURE, "image/png")
    assert whole.headers["x-content-type-options"] == "nosniff"
    part = client.get(f"/gallery/{item}/file", headers={"range": "bytes=8-11"})
    assert (part.status_code, part.content) == (206, PICTURE[8:12])
    assert client.get(f"/gallery/{item}/original").content == PICTURE[::-1]
    assert client.get("/gallery/g-0000000000/file").status_code == 404


def test_the_grid_shows_small_pictures_that_are_made_once(client, workspace, results):
    np, cv2 = pytest.importorskip("numpy"), pytest.importorskip("cv2")
    item = results["warm.png"]
    address = re.search(rf'src="(/gallery/{item}/still[^"]*)"', client.get("/gallery").text)[1]
    assert client.get(address).content == PICTURE, "what cannot be made smaller is sent as it is"
    (run,) = workspace.runs.glob("r-*")
    cv2.imwrite(str(run / "outputs" / "warm.png"), np.full((600, 900, 3), 90, np.uint8))
    small = client.get(address)
    assert (small.headers["content-type"], small.headers["cache-control"]) == ("image/webp", "private, max-age=86400")
    assert cv2.imdecode(np.frombuffer(small.content, np.uint8), cv2.IMREAD_COLOR).shape == (267, 400, 3)
    (kept,) = (workspace.root / "stills").iterdir()
    made = kept.stat().st_mtime_ns
    assert (client.get(address).content, kept.stat().st_mtime_ns) == (small.content, made)
    (run / "outputs" / "warm.png").unlink()
    assert client.get(address).status_code == 404


def test_only_videos_and_pictures_leave_through_the_gallery(client, workspace, results):
    run = create_run(workspace, "transfer.run", {"sources": [str(workspace.root / "treadle.yaml")]})
    (run.outputs / "odd.png").write_bytes(PICTURE)
    run.write_result({"outcome": "done", "value": {"out": str(workspace.root / "treadle.yaml")}})
    from treadle.recipes.gallery_items import item_id

    item = item_id(run.id, "odd.png")
    assert "/original" not in client.get(f"/gallery/{item}").text
    assert client.get(f"/gallery/{item}/original").status_code == 404
    (run.outputs / "odd.png").unlink()
    gone = client.get(f"/gallery/{item}/file")
    assert (gone.status_code, "not there any more" in gone.text) == (404, True)


def test_a_viewer_looks_and_says_nothing(results, logged_in):
    vic = logged_in("vic")
    for address in ("/gallery", f"/gallery/{results['warm.png']}"):
        answer = vic.get(address)
        assert answer.status_code == 200
        for mark in ("data-call", "data-operation", "<textarea", 'type="file"'):
            assert mark not in answer.text
    assert vic.get(f"/gallery/{results['warm.png']}/file").content == PICTURE

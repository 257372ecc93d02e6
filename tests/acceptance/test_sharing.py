"""Models leave and come in, and answer questions, by the installed command."""

import json


def test_a_model_leaves_one_workspace_and_learns_in_another(fed, tmp_path):
    fed.run("train", "bard", "--steps", 4)
    package = tmp_path / "bard.treadle"
    done = fed.run("export", "bard", "--to", "package", "--out", package, "--licence", "cc-by-4.0")
    assert "licence     cc-by-4.0" in done.stdout
    assert f"treadle import {package}" in done.stdout.replace("\n    ", " ")
    report = fed.json("export", "bard", "--to", "gguf", "--precision", "q8_0", "--out", tmp_path / "gguf")
    assert {row["path"].rpartition("/")[2] for row in report["files"]} == {"bard-q8_0.gguf", "Modelfile", "README.md"}
    assert "exists already" in fed.refused("export", "bard", "--to", "package", "--out", package)
    assert "huggingface" in fed.refused("export", "bard", "--to", "onnx", "--out", tmp_path / "o")
    shown = fed.run("import", package, "--name", "guest").stdout
    assert "Next: treadle sample guest" in shown
    assert "licence cc-by-4.0" in shown
    assert "exists already" in fed.refused("import", package, "--name", "guest")
    came = fed.json("import", tmp_path / "gguf" / "bard-q8_0.gguf", "--name", "other")
    assert (came["format"], came["licence"]) == ("gguf", "not stated")
    same = [fed.json("sample", name, "--seed", 1, "--tokens", 20)["text"] for name in ("bard", "guest")]
    assert same[0] == same[1]
    package.write_bytes(package.read_bytes()[:-200])
    assert "cut or damaged" in fed.refused("import", package, "--name", "again", code=1)


def test_questions_are_answered_and_two_models_compared(fed, tmp_path):
    fed.run("train", "bard", "--steps", 4)
    fed.run("copy", "bard", "twin")
    questions = tmp_path / "questions.jsonl"
    rows = [
        {"context": "First Citizen", "choices": [":\n", "zzzzzz"], "answer": 0, "group": "form"},
        {"context": "the ", "choices": ["§", "a"], "answer": 1, "group": "form"},
        {"context": "x" * 100, "choices": ["a", "b"], "answer": 1, "group": "long"},
    ]
    questions.write_text("\n".join(map(json.dumps, rows)))
    found = fed.json("evaluate", "bard", "--tasks", questions)["tasks"]
    assert (found["questions"], found["answered"], found["chance"]) == (3, 1, 0.5)
    assert found["skipped"] == {"unknown characters": 1, "longer than the context": 1}
    assert found["accuracy"] in {0.0, 1.0}
    shown = fed.run("compare", "bard", "twin", "--tasks", questions, "--examples", 8).stdout
    assert "only bard 0, only twin 0" in shown
    assert "right" in fed.run("evaluate", "bard", "--tasks", questions).stdout
    assert "beside fp32" in fed.run("evaluate", "bard", "--precision", "int8").stdout
    questions.write_text('{"context": "a"}')
    assert "questions.jsonl:1: `choices` must be" in fed.run("evaluate", "bard", "--tasks", questions, code=1).stderr
    assert "leave out" in fed.refused("evaluate", "bard", "--tasks", questions, "--arrivals")

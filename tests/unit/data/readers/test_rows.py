"""CSV, TSV, JSON, JSON Lines, Parquet: rows with a column of text are documents, other tables are one."""

from __future__ import annotations

import io
import json

import pytest


def parquet_of(rows: list[dict[str, object]]) -> bytes:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    out = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(rows), out)
    return out.getvalue()


def test_rows_with_a_column_of_text_are_documents(texts_of) -> None:
    assert texts_of("a.csv", 'id,text\n1,"one, and\nmore"\n2,two\n') == ["one, and\nmore", "two"]
    assert texts_of("a.tsv", "Text\tid\none\t1\n") == ["one"]
    assert texts_of("a.csv", "id;body\n1;eins\n") == ["eins"]
    assert texts_of("a.csv", "id,story\n1,once\n", text_field="story") == ["once"]
    rows = [{"id": 1, "text": "one"}, {"id": 2, "text": None}]
    assert texts_of("a.bin", parquet_of(rows)) == ["one", "!empty: It holds no text."]


def test_a_table_without_text_is_one_document_in_its_form(texts_of, facts_of) -> None:
    assert texts_of("a.csv", "x,y\n1,2\n") == ["x,y\n1,2\n"]
    facts = facts_of("a.csv", "x,y\n1,2\n")
    assert (facts["form"], facts["columns"]) == ("table", ["x", "y"])
    assert texts_of("a.parquet", parquet_of([{"x": 1, "y": "a,b"}])) == ['x,y\n1,"a,b"\n']


def test_what_a_row_says_beside_its_text_stays_with_it(facts_of) -> None:
    facts = facts_of("a.csv", "id,text,empty\n7,hello,\n")
    assert facts["row"] == {"id": "7"}
    assert facts_of("a.jsonl", '{"text": "hello", "stars": 5, "tags": ["a"]}')["row"] == {"stars": 5}


def test_rows_that_do_not_fit_are_refused_one_by_one(texts_of) -> None:
    found = texts_of("a.csv", "id,text\n1,one,2,3\n2,two\n")
    assert found == ["!damaged: Row 2 has 4 values for 2 columns.", "two"]
    (said,) = texts_of("a.csv", "x,y\n1,2\n", text_field="story")
    assert said == "!unknown_format: It has no column 'story'. There are: x, y."


def test_json_lines_are_documents_and_bad_lines_are_refused_alone(texts_of) -> None:
    lines = '{"text": "one"}\n\n{broken\n"two"\n{"a": 1}\n'
    one, broken, two, whole = texts_of("a.jsonl", lines)
    assert (one, two, json.loads(whole)) == ("one", "two", {"a": 1})
    assert broken.startswith("!damaged: It is no JSON")
    assert texts_of("a.jsonl", "\n\n") == ["!empty: It holds no lines."]
    assert len(texts_of("a.jsonl", "no json\n" * 500)) == 101


def test_json_is_read_by_object_or_as_a_whole(texts_of) -> None:
    assert texts_of("a.json", '[{"text": "one"}, "two"]') == ["one", "two"]
    assert texts_of("a.json", '{"content": "one"}') == ["one"]
    assert json.loads(texts_of("a.json", "[1, 2]")[0]) == [1, 2]
    assert texts_of("a.json", '{"text": "one"}\n{"text": "two"}\n') == ["one", "two"]
    assert texts_of("a.json", "{")[0].startswith("!damaged")
    assert texts_of("a.json", "[" * 100_000)[0].startswith("!")


def test_turns_are_read_as_a_chat(texts_of, facts_of) -> None:
    chat = '{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello\\n"}]}'
    assert texts_of("a.jsonl", chat) == ["user: Hi\n\nassistant: Hello"]
    assert facts_of("a.jsonl", chat)["form"] == "chat"
    assert json.loads(texts_of("a.jsonl", '{"messages": [1]}')[0]) == {"messages": [1]}


@pytest.mark.parametrize("content", [b"PAR1", b"PAR1" + bytes(100) + b"PAR1"])
def test_a_damaged_parquet_file_is_refused(texts_of, content: bytes) -> None:
    assert texts_of("a.parquet", content)[0].startswith("!damaged")

from __future__ import annotations

from treadle.data.tokenizers.bytes import BytesTokenizer


def test_ids_are_the_bytes_of_utf8() -> None:
    tokenizer = BytesTokenizer()
    assert tokenizer.encode("aé").tolist() == [97, 0xC3, 0xA9]
    assert (tokenizer.vocabulary_size, tokenizer.boundary) == (257, 256)
    assert tokenizer.unknown_characters("\U0010ffff") == {}


def test_every_single_byte_decodes() -> None:
    tokenizer = BytesTokenizer()
    assert tokenizer.decode(list(range(128))) == bytes(range(128)).decode()
    assert tokenizer.decode(list(range(128, 256))) == "\ufffd" * 128


def test_a_character_is_held_back_until_its_last_byte() -> None:
    decoder = BytesTokenizer().decoder()
    assert [decoder.push([byte]) for byte in "é€".encode()] == ["", "é", "", "", "€"]
    assert decoder.push([0xE2]) == ""
    assert decoder.finish() == "\ufffd"


def test_a_boundary_ends_a_character_that_is_not_whole() -> None:
    assert BytesTokenizer().decode([0xC3, 256, 0xA9]) == "\ufffd\ufffd"


def test_training_reads_nothing() -> None:
    def texts() -> object:
        raise AssertionError
        yield ""

    assert BytesTokenizer.train(texts()).describe() == {"kind": "bytes"}  # type: ignore[arg-type]

"""Packages of strangers: whatever is wrong with one is said in words, and nothing of it is believed."""

import io
import json
import random
import zipfile

import numpy as np
import pytest

from treadle.base.errors import DataError
from treadle.base.hashing import hash_bytes, hash_json
from treadle.data.tokenizers.tokenizer import train_tokenizer
from treadle.models.exchange.safetensors_file import write_safetensors
from treadle.models.gpt.config import GPTConfig
from treadle.models.gpt.weights import weight_shapes
from treadle.recipes.incoming import read_incoming
from treadle.recipes.package_file import read_package, write_package

CONFIG = GPTConfig(layers=1, width=16, heads=2, feed_forward=32)
TOKENIZER = train_tokenizer("char", ["abcdefghij"])
VOCABULARY, CONTEXT = TOKENIZER.vocabulary_size, 8


def made(path, weights=None, **model):
    """A package, right in every respect unless something is given."""
    if weights is None:
        generator = np.random.default_rng(1)
        shapes = weight_shapes(CONFIG, VOCABULARY, CONTEXT)
        weights = {name: generator.standard_normal(shape, np.float32) for name, shape in shapes.items()}
    source = path.parent / "weights"
    source.unlink(missing_ok=True)
    write_safetensors(source, weights)
    stated = {"family": "gpt", "config": CONFIG.model_dump(mode="json"), "vocabulary": VOCABULARY,
              "context": CONTEXT, "tokenizer": TOKENIZER.describe()}  # fmt: skip
    parts = {"model": {**stated, **model}, "settings": {}, "facts": {"step": 3, "epochs": 0.5, "licence": "mit"}}
    with path.open("wb") as file:
        write_package(file, parts, "# a card\n", source)
    return weights


def rewritten(path, change):
    """The package with other members: `change` gets and gives a list of (name, data)."""
    with zipfile.ZipFile(path) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in change(members):
            archive.writestr(name, data)


def restated(path, change):
    """The package with another document, whose own hash is right."""

    def one(members):
        for name, data in members:
            if name == "treadle.json":
                document = json.loads(data)
                change(document)
                document["sha256"] = hash_json({key: value for key, value in document.items() if key != "sha256"})
                yield name, json.dumps(document)
            else:
                yield name, data

    rewritten(path, lambda members: list(one(members)))


@pytest.fixture
def package(tmp_path):
    made(tmp_path / "m.treadle")
    return tmp_path / "m.treadle"


def test_what_was_written_is_read(tmp_path):
    weights = made(tmp_path / "m.treadle")
    found = read_package(tmp_path / "m.treadle")
    assert found.facts["licence"] == "mit"
    assert found.model["tokenizer"] == TOKENIZER.describe()
    assert all(np.array_equal(found.weights[name], array) for name, array in weights.items())
    first = (tmp_path / "m.treadle").read_bytes()
    made(tmp_path / "m.treadle")
    assert (tmp_path / "m.treadle").read_bytes() == first


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/b", "treadle.json/../x", "setup.py", "C:\\evil"])
def test_a_name_that_does_not_belong_is_refused(name, package):
    rewritten(package, lambda members: [*members, (name, b"x")])
    with pytest.raises(DataError, match=r"holds .* and a package holds"):
        read_package(package)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_twice_or_lacking_is_refused(package):
    whole = package.read_bytes()
    rewritten(package, lambda members: [*members, members[-1]])
    with pytest.raises(DataError, match="each once"):
        read_package(package)
    package.write_bytes(whole)
    rewritten(package, lambda members: members[1:])
    with pytest.raises(DataError, match="each once"):
        read_package(package)


def test_numbers_that_are_none_are_refused(package):
    def change(members):
        return [(name, data.replace(b'"format": 1', b'"format": NaN')) for name, data in members]

    rewritten(package, change)
    with pytest.raises(DataError, match="cannot be read as a package"):
        read_package(package)


def test_a_bomb_is_refused_before_it_is_unpacked(package):
    with zipfile.ZipFile(package, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("treadle.json", "README.md", "model.safetensors"):
            archive.writestr(name, b"\0" * (1 << 20))
    with pytest.raises(DataError, match="compressed or encrypted"):
        read_package(package)


def test_a_directory_that_lies_about_sizes_is_refused(package):
    data = bytearray(package.read_bytes())
    place = data.rindex(b"PK\x01\x02")
    data[place + 20 : place + 28] = (0x7FFFFFFF).to_bytes(4, "little") * 2  # both sizes of the last member
    package.write_bytes(data)
    with pytest.raises(DataError, match="larger than the whole file"):
        read_package(package)


def test_every_changed_byte_of_its_content_is_found(package):
    data, chance = package.read_bytes(), random.Random(7)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        places = [(data.index(archive.read(info), info.header_offset), info.file_size) for info in archive.infolist()]
    for begin, size in places:
        for place in [begin, begin + size - 1, *(begin + chance.randrange(size) for _ in range(12))]:
            package.write_bytes(data[:place] + bytes([data[place] ^ 1 << chance.randrange(8)]) + data[place + 1 :])
            with pytest.raises(DataError):
                read_package(package)


def test_every_cut_is_found(package):
    data = package.read_bytes()
    for size in range(0, len(data), 97):
        package.write_bytes(data[:size])
        with pytest.raises(DataError, match="cut or damaged"):
            read_package(package)


def test_hashes_that_lie_are_found(package):
    restated(package, lambda document: document["files"]["model.safetensors"].update(sha256="0" * 64))
    with pytest.raises(DataError, match=r"model.safetensors does not have the hash"):
        read_package(package)
    restated(package, lambda document: document["files"]["model.safetensors"].update(bytes=1))
    with pytest.raises(DataError, match="does not have the size"):
        read_package(package)
    rewritten(package, lambda members: [(name, data.replace(b"mit", b"gpl")) for name, data in members])
    with pytest.raises(DataError, match=r"treadle.json does not have the hash"):
        read_package(package)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda d: d["model"].update(vocabulary=12), "mismatched: embedding.weight"),
        (lambda d: d["model"]["config"].update(layers=2), "missing: layers.1"),
        (lambda d: d["model"]["config"].update(layers=10**9), "states 1,000,000,000 layers"),
        (lambda d: d["model"]["config"].update(width=7), "shape is impossible"),
        (lambda d: d["model"]["config"].update(secret=7), "shape is impossible"),
        (lambda d: d["model"].update(family="../x"), "is not known here"),
        (lambda d: d["model"].update(vocabulary=-1), "numbers of token ids"),
        (lambda d: d["model"].update(extra=1), "does not have the keys"),
        (lambda d: d.update(format=2), "newer Treadle"),
        (lambda d: d.update(kind="cake"), "does not describe a model"),
        (lambda d: d.update(facts=[]), "does not name the files"),
        (lambda d: d["files"].update(more={}), "does not name the files"),
    ],
)
def test_statements_that_do_not_fit_are_refused(change, reason, package):
    restated(package, change)
    with pytest.raises(DataError, match=reason):
        read_package(package)


@pytest.mark.parametrize("document", [b"{", b"[" * 200_000, b"[]", b"\xff"])
def test_a_document_that_is_none_is_refused(document, package):
    rewritten(package, lambda members: [(n, document if n == "treadle.json" else d) for n, d in members])
    with pytest.raises(DataError, match=r"treadle.json"):
        read_package(package)


def test_weights_that_are_no_numbers_and_tokenizers_of_others_are_refused(tmp_path):
    weights = made(tmp_path / "m.treadle")
    weights["norm.weight"][3] = np.nan
    made(tmp_path / "m.treadle", weights)
    with pytest.raises(DataError, match=r"norm.weight holds values that are not numbers"):
        read_incoming(tmp_path / "m.treadle", None)
    made(tmp_path / "m.treadle", tokenizer=train_tokenizer("char", ["abc"]).describe())
    with pytest.raises(DataError, match="its tokenizer has 4 ids and its model 11"):
        read_incoming(tmp_path / "m.treadle", None)


def test_hash_of_the_card_is_checked(package):
    rewritten(package, lambda members: [(n, b"# a bard\n" if n == "README.md" else d) for n, d in members])
    with pytest.raises(DataError, match=r"README.md does not have the hash"):
        read_package(package)
    assert hash_bytes(b"# a card\n")

"""PDF, EPUB, DOCX."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

DOCUMENTS = Path(__file__).parents[3] / "data" / "documents"
CONTAINER = '<container><rootfiles><rootfile full-path="OPS/book.opf"/></rootfiles></container>'
PACKAGE = """<package xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata><dc:title>Looms</dc:title>
<dc:creator>Ada</dc:creator><dc:language>en</dc:language></metadata><manifest>
<item id="b" href="two%20b.xhtml" media-type="application/xhtml+xml"/>
<item id="a" href="one.xhtml" media-type="application/xhtml+xml"/>
<item id="c" href="cover.png" media-type="image/png"/></manifest>
<spine><itemref idref="c"/><itemref idref="a"/><itemref idref="b"/><itemref idref="n" linear="no"/></spine></package>"""
WORD = """<w:document xmlns:w="urn:w"><w:body><w:p><w:pPr><w:tabs><w:tab w:pos="1"/></w:tabs></w:pPr><w:r><w:t>One</w:t>
<w:tab/><w:t>two</w:t></w:r><w:del><w:r><w:t>struck</w:t></w:r></w:del></w:p><w:tbl><w:tr><w:tc><w:p><w:r><w:t>a</w:t></w:r></w:p></w:tc>
<w:tc><w:p><w:r><w:t>b</w:t></w:r></w:p></w:tc></w:tr></w:tbl></w:body></w:document>"""


def packed(path: Path, members: dict[str, str]) -> bytes:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path.read_bytes()


def pdf(text: str, pages: str = "[3 0 R]") -> bytes:
    """A PDF of one page, as small as can be."""
    stream = f"BT /F1 12 Tf 20 100 Td ({text}) Tj ET".encode()
    parts = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Kids{pages}/Count 1>>".encode(),
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 200]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d>>stream\n%b\nendstream" % (len(stream), stream),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    out = b"%PDF-1.4\n"
    offsets = []
    for number, part in enumerate(parts, 1):
        offsets.append(len(out))
        out += b"%d 0 obj" % number + part + b"endobj\n"
    start = len(out)
    out += b"xref\n0 6\n0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return out + b"trailer<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % start


def test_a_pdf_is_read_page_by_page(texts_of, facts_of) -> None:
    content = (DOCUMENTS / "minimal-document.pdf").read_bytes()
    (text,) = texts_of("a.pdf", content)
    assert text.startswith("Lorem ipsum dolor sit amet, consetetur sadipscing elitr, sed diam nonumy eirmod\ntempor")
    assert facts_of("a.pdf", content)["pages"] == 1


def test_an_encrypted_pdf_is_refused(texts_of) -> None:
    content = (DOCUMENTS / "libreoffice-writer-password.pdf").read_bytes()
    assert texts_of("a.pdf", content) == ["!encrypted: It is encrypted. Save it without a password."]


@pytest.mark.parametrize("keep", [9, 300, 8000])
def test_a_truncated_pdf_is_refused_or_read_as_far_as_it_goes(texts_of, keep: int) -> None:
    (said,) = texts_of("a.pdf", (DOCUMENTS / "minimal-document.pdf").read_bytes()[:keep])
    assert said.startswith(("!damaged", "!empty"))


def test_a_pdf_without_text_says_what_to_do(texts_of) -> None:
    (said,) = texts_of("a.pdf", pdf(""))
    assert "Recognise the text (OCR) first" in said


def test_a_pdf_whose_pages_go_round_in_a_circle_ends(texts_of) -> None:
    (said,) = texts_of("a.pdf", pdf("hello", "[2 0 R 3 0 R]"))
    assert "hello" in said or said.startswith("!")


def test_a_page_from_right_to_left_is_read_in_its_order(texts_of) -> None:
    (text,) = texts_of("a.pdf", (DOCUMENTS / "hebrew.pdf").read_bytes())
    assert text == "שלום עולם, זהו משפט בעברית.\nבראשית ברא אלהים את השמים ואת הארץ."  # noqa: RUF001


def test_of_two_readings_the_better_ordered_is_taken() -> None:
    from treadle.data.readers.pdf import _better_ordered, _right_to_left

    assert _better_ordered("one.\ntwo.", ".one\n.two") == "one.\ntwo."
    assert _better_ordered(".one\n.two", "one.\ntwo.") == "one.\ntwo."
    assert _better_ordered("one", "eno") == "eno"
    assert _better_ordered("one", "") == "one"
    assert _right_to_left(DOCUMENTS / "minimal-document.pdf", 0).startswith("Lorem ipsum")
    assert _right_to_left(DOCUMENTS / "libreoffice-writer-password.pdf", 0) == ""


def test_words_cut_at_line_ends_are_joined() -> None:
    from treadle.data.readers.pdf import _joined

    assert _joined("adip\ufffe\nisc and foot-\nball, e-\nMail, \ufb01nd") == "adipisc and football, e-\nMail, find"


def test_an_epub_is_read_in_the_order_of_its_spine(texts_of, facts_of, tmp_path: Path) -> None:
    book = packed(
        tmp_path / "made.zip",
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": CONTAINER,
            "OPS/book.opf": PACKAGE,
            "OPS/two b.xhtml": "<html><body><p>second</p></body></html>",
            "OPS/one.xhtml": "<html><body><h1>first</h1></body></html>",
        },
    )
    assert texts_of("book.bin", book) == ["first\n\nsecond"]
    facts = facts_of("book.bin", book)
    assert (facts["title"], facts["author"], facts["chapters"]) == ("Looms", "Ada", 2)


def test_an_epub_with_encrypted_chapters_is_refused(texts_of, tmp_path: Path) -> None:
    locks = '<encryption><CipherReference URI="OPS/one.xhtml"/></encryption>'
    members = {"META-INF/container.xml": CONTAINER, "OPS/book.opf": PACKAGE, "META-INF/encryption.xml": locks}
    (said,) = texts_of("book.epub", packed(tmp_path / "made.zip", members))
    assert said.startswith("!encrypted")


@pytest.mark.parametrize("missing", ["OPS/book.opf", "OPS/one.xhtml"])
def test_an_epub_without_a_part_is_refused(texts_of, tmp_path: Path, missing: str) -> None:
    members = {"META-INF/container.xml": CONTAINER, "OPS/book.opf": PACKAGE, "OPS/one.xhtml": "<p>x</p>"}
    (said,) = texts_of("book.epub", packed(tmp_path / "made.zip", {k: v for k, v in members.items() if k != missing}))
    assert said == f"!damaged: Its part {missing} is missing."


def test_a_word_document_is_read_with_its_tables_and_without_what_was_struck_out(texts_of, tmp_path: Path) -> None:
    assert texts_of("a.docx", packed(tmp_path / "made.zip", {"word/document.xml": WORD})) == ["One\ttwo\n\na\tb"]

from __future__ import annotations

from email.message import EmailMessage


def message() -> EmailMessage:
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = "Grüße", "ada@example.org", "bea@example.org"
    mail.set_content("Hello\nthere\n")
    return mail


def test_a_message_is_its_headers_and_its_text(texts_of) -> None:
    assert texts_of("a.eml", bytes(message())) == [
        "Subject: Grüße\nFrom: ada@example.org\nTo: bea@example.org\n\nHello\nthere\n"
    ]


def test_a_message_of_html_only_is_read_as_the_text_it_shows(texts_of) -> None:
    mail = EmailMessage()
    mail["Subject"] = "x"
    mail.set_content("<html><body><p>Hi</p><script>no</script></body></html>", subtype="html")
    assert texts_of("a.eml", bytes(mail)) == ["Subject: x\n\nHi\n"]


def test_attachments_are_refused_by_name(texts_of) -> None:
    mail = message()
    mail.add_alternative("<p>Hello</p>", subtype="html")
    mail.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="bill.pdf")
    text, refused = texts_of("a.eml", bytes(mail))
    assert text.endswith("\n\nHello\nthere\n")
    assert refused == "!unknown_format: It is an attachment. Save it and give the file."


def test_a_mailbox_is_read_message_by_message(texts_of) -> None:
    box = (
        b"From a Sat Jan  3 01:05:34 1996\n"
        + bytes(message())
        + b"\nFrom b Sat Jan  3 01:05:34 1996\nSubject: y\n\n>From me\n"
    )
    first, second = texts_of("box", box)
    assert first.startswith("Subject: Grüße")
    assert second == "Subject: y\n\nFrom me\n"


def test_odd_headers_and_encodings_do_no_harm(texts_of) -> None:
    odd = b"Subject: =?x?q?=?=\nFrom: <<<>,\nContent-Type: text/plain; charset=klingon\n\n\xff\xfe body"
    (text,) = texts_of("a.eml", odd)
    assert "body" in text
    assert texts_of("empty.eml", b"X-Nothing: 1\n\n")[0].startswith("!empty")

from __future__ import annotations

PLAY = """<?xml version="1.0"?><!DOCTYPE PLAY SYSTEM "play.dtd"><PLAY><TITLE>Hamlet</TITLE><SCENE>
<SPEECH><SPEAKER>BERNARDO</SPEAKER><LINE>Who's there?</LINE></SPEECH>
<SPEECH><SPEAKER>FRANCISCO</SPEAKER><LINE>Nay, <STAGEDIR>Aside</STAGEDIR> answer me:</LINE>
<LINE>stand</LINE></SPEECH></SCENE></PLAY>"""


def test_a_play_keeps_its_speakers_and_lines(texts_of) -> None:
    (text,) = texts_of("hamlet.xml", PLAY)
    assert text == "Hamlet\n\nBERNARDO:\nWho's there?\n\nFRANCISCO:\nNay,\nAside\nanswer me:\nstand"


def test_inline_elements_stay_in_their_line(texts_of) -> None:
    assert texts_of("a.xml", "<?xml version='1.0'?><text><p>a <hi>red</hi> rose</p><p>b</p></text>") == [
        "a red rose\nb"
    ]


def test_entities_of_its_own_are_refused_before_they_grow(texts_of) -> None:
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10 if n else "lol"}">' for n in range(10))
    (said,) = texts_of("lol.xml", f'<?xml version="1.0"?><!DOCTYPE x [{laughs}]><x>&l9;</x>')
    assert said.startswith("!unknown_format: It declares the entity")


def test_nothing_outside_the_file_is_opened(texts_of, tmp_path) -> None:
    (tmp_path / "secret").write_text("secret")
    page = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "{tmp_path}/secret">]><x>a&e;b</x>'
    assert texts_of("a.xml", page) == ["ab"]


def test_what_is_not_well_formed_is_refused_with_its_place(texts_of) -> None:
    (said,) = texts_of("a.xml", "<?xml version='1.0'?>\n<a><b></a>")
    assert said.startswith("!damaged: It is not well-formed XML")
    assert "line 2" in said
    (said,) = texts_of("deep.xml", "<?xml version='1.0'?>" + "<a>" * 600)
    assert "nested too deeply" in said
    (said,) = texts_of("odd.xml", "<?xml version='1.0' encoding='klingon'?><a>b</a>")
    assert said.startswith(("!damaged", "!encoding"))

import pytest

from al3spark.report.markup import Html, escape, join, show, tag


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<script>alert('1')</script>", "&lt;script&gt;alert(&#x27;1&#x27;)&lt;/script&gt;"),
        ('" onmouseover="x', "&quot; onmouseover=&quot;x"),
        ("a\nb\r\tc\0", r"a\nb\r\tc\x00"),
        ("\x1b[31m", r"\x1b[31m"),
        ("evil\u202efdp.exe", r"evil\u202efdp.exe"),
        ("\ud800", r"\ud800"),
        ("MÜLLER & Söhne", "MÜLLER &amp; Söhne"),
    ],
)
def test_a_text_is_never_markup_and_hides_nothing(text: str, expected: str) -> None:
    assert escape(text) == expected


def test_what_can_be_printed_is_shown_as_it_is() -> None:
    assert show("/in/a b/Ümlaut.al3") == "/in/a b/Ümlaut.al3"


def test_an_element_escapes_its_texts_and_attributes_and_no_elements() -> None:
    made = tag("p", "1 < 2 ", tag("b", "&"), class_="a", data_where='"><script>', title=None, open="")
    assert made == ('<p class="a" data-where="&quot;&gt;&lt;script&gt;" open>1 &lt; 2 <b>&amp;</b></p>')


def test_an_element_that_holds_nothing_has_no_end() -> None:
    assert tag("meta", charset="utf-8") == '<meta charset="utf-8">'


def test_parts_are_put_together_as_markup() -> None:
    joined = join("a&b", Html("<br>"))
    assert (joined, isinstance(joined, Html)) == ("a&amp;b<br>", True)

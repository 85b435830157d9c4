import pickle

import pytest

from al3spark.al3.dictionary import Dictionary, Element, Layout, header_length, load_dictionary
from al3spark.errors import DictionaryError

OLD_DATE = Element(
    "5BPI", "since_superseded", 30, 6, "date_yymmdd", element_id="5BPI01", superseded_by="5BPI02"
)
NEW_DATE = Element("5BPI", "since", 36, 8, "date_ccyymmdd", element_id="5BPI02")


def layout(*elements: Element) -> Layout:
    return Layout("5BPI", "policies", "Basic Policy Information", elements)


@pytest.mark.parametrize(
    ("group", "length"), [("1MHG", 10), ("4XYZ", 10), ("0ABC", 10), ("5BPI", 30), ("9BIS", 30), ("CVH1", 30)]
)
def test_header_is_short_for_control_groups_only(group: str, length: int) -> None:
    assert header_length(group) == length


def test_layout_ends_with_its_last_element() -> None:
    assert layout(OLD_DATE, NEW_DATE).length == 44


def test_layout_without_elements_is_its_header() -> None:
    assert layout().length == 30


@pytest.mark.parametrize(
    ("elements", "message"),
    [
        ((NEW_DATE,), "layout of 5BPI: 5BPI.since does not start at 30"),
        ((OLD_DATE, OLD_DATE), "layout of 5BPI: 5BPI.since_superseded does not start at 36"),
        ((Element("5BIS", "id", 30, 1, "code"),), "layout of 5BPI: 5BIS.id does not start at 30"),
        ((Element("5BPI", "id", 30, 0, "code"),), "layout of 5BPI: 5BPI.id does not start at 30"),
    ],
)
def test_layout_refuses_holes_overlaps_and_strangers(elements: tuple[Element, ...], message: str) -> None:
    with pytest.raises(DictionaryError) as caught:
        layout(*elements)
    assert str(caught.value) == message


def test_name_makes_seven_columns() -> None:
    assert Element("5BIS", "insured", 30, 60, "name").columns == (
        "insured",
        "insured_format",
        "insured_prefix",
        "insured_first",
        "insured_middle",
        "insured_last",
        "insured_suffix",
    )


def test_any_other_kind_makes_one_column() -> None:
    assert NEW_DATE.columns == ("since",)


def test_dates_of_different_formats_replace_each_other() -> None:
    assert layout(OLD_DATE, NEW_DATE).replacements == ((1, 0),)


@pytest.mark.parametrize(
    ("old_kind", "old_scale", "new_kind", "new_scale", "pairs"),
    [
        ("text", 0, "code", 0, ((1, 0),)),
        ("integer", 0, "integer", 0, ((1, 0),)),
        ("amount", 2, "decimal", 2, ((1, 0),)),
        ("amount", 2, "amount", 5, ()),
        ("text", 0, "integer", 0, ()),
        ("code", 0, "flag", 0, ()),
        ("text", 0, "name", 0, ()),
        ("name", 0, "name", 0, ()),
    ],
)
def test_only_elements_of_one_type_replace_each_other(
    old_kind: str, old_scale: int, new_kind: str, new_scale: int, pairs: tuple[tuple[int, int], ...]
) -> None:
    older = Element("5BPI", "older", 30, 9, old_kind, old_scale, element_id="5BPI01", superseded_by="5BPI02")
    newer = Element("5BPI", "newer", 39, 9, new_kind, new_scale, element_id="5BPI02")
    assert layout(older, newer).replacements == pairs


def test_element_superseded_in_another_group_replaces_nothing() -> None:
    older = Element("5BPI", "status_superseded", 30, 3, "code", superseded_by="5CNR08")
    assert layout(older).replacements == ()


def test_element_that_was_split_replaces_nothing() -> None:
    older = Element("5BPI", "wiring_superseded", 30, 3, "code", superseded_by="5BPI02_AND_5BPI03")
    year = Element("5BPI", "wiring_year", 33, 4, "code", element_id="5BPI02")
    code = Element("5BPI", "wiring_code", 37, 1, "code", element_id="5BPI03")
    assert layout(older, year, code).replacements == ()


def test_dictionary_finds_a_layout_by_its_group() -> None:
    first = Layout("5BIS", "insureds", "", ())
    last = Layout("5BPI", "policies", "", ())
    dictionary = Dictionary((first, last), (), "")
    assert [dictionary.layout(group) for group in ("5BIS", "5BPI", "5BOO", "9ZZZ")] == [
        first,
        last,
        None,
        None,
    ]


def test_dictionary_is_hashable_and_survives_pickling() -> None:
    dictionary = load_dictionary()
    copy = pickle.loads(pickle.dumps(dictionary))
    assert copy == dictionary
    assert hash(copy) == hash(dictionary)

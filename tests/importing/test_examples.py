from al3spark.importing.examples import example_map
from al3spark.importing.maps import Columns, read_map
from al3spark.importing.rows import read_head
from tests.importing.exports import EXPORT


def test_example_is_a_map() -> None:
    how = read_map(example_map(), "map.toml")
    assert how.columns == Columns(
        group="Group", element="Element Name", start="Start", end="End", type="Type"
    )
    assert how.counts_from == 1


def test_every_line_that_is_commented_out_is_one_too() -> None:
    lines = example_map().splitlines()
    text = "\n".join(line.removeprefix("# ") if " = " in line else line for line in lines)
    how = read_map(text, "map.toml")
    assert (how.encoding, how.delimiter, how.counts_in, how.end_is) == ("cp1252", ";", "record", "last")
    assert None not in [getattr(how.columns, name) for name in Columns.__slots__]
    assert how.types["$"].decimals == 2
    assert how.groups["5XYZ"].table == "carrier_notes"


def test_columns_of_a_file_are_filled_in_as_far_as_they_tell() -> None:
    how = read_map(example_map(*read_head(EXPORT.read_bytes(), EXPORT.name)), "map.toml")
    assert how.columns == Columns(
        group="Group",
        group_name="Group Title",
        element="Data Element",
        start="Position",
        length="Len",
        type="Typ",
        decimals="Dec",
        superseded_by="Replaced by",
    )


def test_encoding_of_a_file_is_filled_in_where_it_is_not_utf_8() -> None:
    head, encoding = read_head("Group;Größe;Element;Type;Pos;Len\n".encode("cp1252"), "export.csv")
    how = read_map(example_map(head, encoding), "map.toml")
    assert (how.encoding, how.columns.length) == ("cp1252", "Len")


def test_names_are_quoted_as_toml_asks() -> None:
    text = example_map(["Group", 'a "b" \\ c', "Element", "Type", "Pos", "Len"])
    assert read_map(text, "map.toml").columns.element == "Element"

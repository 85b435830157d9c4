import pytest

from al3spark.errors import DictionaryError
from al3spark.importing.maps import Columns, ImportMap
from al3spark.importing.rows import Rows, read_head, read_rows

COLUMNS = Columns(group="Group", element="Name", start="Pos", type="Type")
MAP = ImportMap(COLUMNS, counts_from=1)
HEAD = "Group,Name,Pos,Type\n"


def read(text: str | bytes, how: ImportMap = MAP) -> Rows:
    return read_rows(text.encode() if isinstance(text, str) else text, "export.csv", how)


def complaint(text: str | bytes, how: ImportMap = MAP) -> str:
    with pytest.raises(DictionaryError) as caught:
        read(text, how)
    return str(caught.value)


def found(rows: Rows) -> list[tuple[int, str, str]]:
    return [(entry.line, entry.group, entry.get("element")) for entry in rows.entries]


@pytest.mark.parametrize(
    "data",
    [
        "Group,Name,Pos,Type\n5ABC,Größe,31-32,AN\n".encode(),
        "\ufeffGroup,Name,Pos,Type\r\n5ABC,Größe,31-32,AN\r\n".encode(),
        "Group;Name;Pos;Type\n5ABC;Größe;31-32;AN\n".encode(),
        "sep=|\nGroup|Name|Pos|Type\n5ABC|Größe|31-32|AN\n".encode(),
        "Group\tName\tPos\tType\n5ABC\tGröße\t31-32\tAN\n".encode("utf-16"),
        "Group\tName\tPos\tType\n5ABC\tGröße\t31-32\tAN\n".encode("utf-32"),
        'GROUP, name ,"Pos",Type,,\n 5abc ,  Größe,31-32,AN,,\n'.encode(),
    ],
    ids=["plain", "BOM and CRLF", "semicolons", "sep=", "UTF-16 with tabs", "UTF-32", "blanks and case"],
)
def test_the_same_table_is_read_however_it_was_saved(data: bytes) -> None:
    (entry,) = read(data).entries
    assert (entry.group, entry.get("element"), entry.get("start")) == ("5ABC", "Größe", "31-32")


def test_encoding_of_the_map_counts() -> None:
    data = (HEAD + "5ABC,Größe,31,AN\n").encode("cp1252")
    assert found(read(data, ImportMap(COLUMNS, 1, encoding="cp1252"))) == [(2, "5ABC", "Größe")]
    assert complaint(data) == 'export.csv line 2: is not UTF-8; the map can name its encoding, like "cp1252"'
    assert complaint(data, ImportMap(COLUMNS, 1, encoding="klingon")).startswith(
        "export.csv: no encoding klingon is known"
    )


@pytest.mark.parametrize("encoding", ["punycode", "undefined", "idna"])
def test_codec_that_is_no_character_set_is_told(encoding: str) -> None:
    told = complaint(b"a-\xff,b\n" * 9, ImportMap(COLUMNS, 1, encoding=encoding))
    assert told.startswith("export.csv")


@pytest.mark.parametrize("text", [HEAD, HEAD + "5ABC,Größe,31,AN\n"])
def test_utf_16_without_a_mark_is_told_and_read_when_the_map_names_it(text: str) -> None:
    data = text.encode("utf-16-le")
    assert complaint(data).startswith("export.csv: looks like UTF-16: save it as CSV UTF-8, or name its")
    assert read(data, ImportMap(COLUMNS, 1, encoding="utf-16-le")).left_out == {}


def test_lines_are_those_of_the_file_whatever_is_quoted() -> None:
    text = 'Title\n\n"Gr\noup",x\nGroup,Name,Pos,Type\n5ABC,"one\nand\nmore",31,AN\n\n5ABC,two,32,AN\n'
    assert found(read(text)) == [(6, "5ABC", "one and more"), (10, "5ABC", "two")]


def test_group_of_a_merged_cell_holds_until_the_next() -> None:
    rows = read(HEAD + "5ABC,one,31,AN\n,two,32,AN\n5DEF,three,31,AN\n")
    assert found(rows) == [(2, "5ABC", "one"), (3, "5ABC", "two"), (4, "5DEF", "three")]
    assert rows.filled == [3]


@pytest.mark.parametrize(
    ("heading", "group", "title"),
    [
        ("5ABC - All But Cats", "5ABC", "All But Cats"),
        ("Group: CVX1 \u2013 Vet Extras", "CVX1", "Vet Extras"),
        ("5ABC", "5ABC", ""),
    ],
)
def test_heading_names_the_group_of_what_follows(heading: str, group: str, title: str) -> None:
    how = ImportMap(Columns(element="Name", start="Pos", type="Type"), counts_from=1)
    rows = read(f"Name,Pos,Type\n{heading},,\none,31,AN\n", how)
    assert found(rows) == [(3, group, "one")]
    assert rows.titles.get(group, "") == title
    assert rows.left_out == {"headings": 1}


@pytest.mark.parametrize("text", ["NOTE: all of this is invented", "2024 edition", "See 5ABC"])
def test_remark_is_no_heading(text: str) -> None:
    rows = read(HEAD + f"5DEF,one,31,AN\n,{text},,\n,two,32,AN\n")
    assert {group for _, group, _ in found(rows)} == {"5DEF"}


def test_group_and_title_can_share_a_cell() -> None:
    rows = read(HEAD + "5ABC - All But Cats,one,31,AN\n")
    assert (found(rows), rows.titles) == ([(2, "5ABC", "one")], {"5ABC": "All But Cats"})


def test_rows_are_left_out_as_the_map_says_and_counted() -> None:
    how = ImportMap(COLUMNS, 1, skip={"NAME": ("TOTAL", "")}, only={"STATE": ("CURRENT",)})
    text = (
        "Group,Name,Pos,Type,State\n5ABC,one,31,AN,Current\n5ABC,Total,,,current\n5ABC,old,31,AN,retired\n"
        "Group,Name,Pos,Type,State\n5ABC,,40,AN,current\n"
    )
    rows = read(text, how)
    assert found(rows) == [(2, "5ABC", "one")]
    assert rows.left_out == {"as the map says": 3, "the head again": 1}


def test_constants_hold_where_a_cell_is_empty() -> None:
    how = ImportMap(COLUMNS, 1, constants={"type": "AN", "sources": "L"})
    first, second = read(HEAD + "5ABC,one,31,\n5ABC,two,32,N\n", how).entries
    assert (first.get("type"), second.get("type"), second.get("sources")) == ("AN", "N", "L")


@pytest.mark.parametrize("nothing", ["-", "\u2013", "n/a", "None", "  "])
def test_dash_is_no_value(nothing: str) -> None:
    how = ImportMap(Columns(group="Group", element="Name", start="Pos", type="Type", pii="Pii"), 1)
    (entry,) = read(f"Group,Name,Pos,Type,Pii\n5ABC,one,31,AN,{nothing}\n", how).entries
    assert entry.get("pii") == ""


def test_columns_that_are_not_there_are_all_told() -> None:
    how = ImportMap(COLUMNS, 1, skip={"STATUS": ("OLD",)})
    assert complaint("Groups,Name,Pos\n5ABC,one,31\n", how).splitlines() == [
        "export.csv: has no column 'Group'; did you mean 'GROUPS'?",
        "export.csv: has no column 'Type'; it has GROUPS, NAME, POS",
        "export.csv: has no column 'STATUS'; it has GROUPS, NAME, POS",
    ]


@pytest.mark.parametrize(
    ("text", "has"),
    [
        ("Invented layouts\n\nId,Field,From,Kind\n5ABC,one,31,AN\n", "ID, FIELD, FROM, KIND"),
        ("Id;Field;From;Kind\n5ABC;one;31;AN\n", "ID, FIELD, FROM, KIND"),
        (
            '"Invented layouts\nGroup,Name,Pos,Type\n5ABC,one,31,AN\n',
            "INVENTED LAYOUTS GROUP,NAME,POS,TYPE 5AB",
        ),
    ],
    ids=["other names", "other delimiter", "open quote"],
)
def test_file_without_any_of_the_columns_says_which_it_has(text: str, has: str) -> None:
    assert complaint(text).splitlines()[0] == f"export.csv: has no column 'Group'; it has {has}"


def test_column_that_is_there_twice_is_told() -> None:
    assert (
        complaint("Group,Name,Pos,Type,name\n5ABC,one,31,AN,x\n") == "export.csv: has several columns 'Name'"
    )


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"PK\x03\x04 and so on", "export.csv: is an Excel workbook: save the sheet as CSV UTF-8"),
        (b"", "export.csv: has no column 'Group'; it has no line of cells"),
    ],
)
def test_what_is_no_csv_is_told(data: bytes, text: str) -> None:
    assert complaint(data).splitlines()[0] == text


def test_cell_too_large_for_csv_is_told() -> None:
    assert complaint(HEAD + f"5ABC,{'x' * 200_000},31,AN\n").startswith(
        "export.csv: is not CSV: field larger"
    )


def test_head_is_the_line_with_the_most_cells() -> None:
    data = "\ufeffInvented layouts;;\nGroup;Element Name;Start;End\n5ABC;one;31;32\n".encode()
    assert read_head(data, "export.csv") == (["Group", "Element Name", "Start", "End"], None)
    assert read_head("Größe,Name\n".encode("cp1252"), "export.csv") == (["Größe", "Name"], "cp1252")
    assert read_head(b"", "export.csv") == ([], None)

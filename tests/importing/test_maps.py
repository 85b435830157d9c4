import pytest

from al3spark.errors import RequestError
from al3spark.importing.maps import Columns, Group, ImportMap, Rule, read_map

LEAST = '{"counts_in": "record", "columns": {"element": "Name", "type": "Type", "length": "Len"}}'
WHOLE = """
counts_from = 1
counts_in = "body"
end_is = "next"
delimiter = ";"
encoding = "cp1252"

[columns]
element = "Name"
type = "Type"
start = "From"

[types]
k = "code"
"$" = { kind = "amount", decimals = 2 }

[skip]
"Data  type" = ["Header", "total"]
From = ""

[only]
State = "current"

[constants]
sources = "L"

[pii_tags]
y = "name"

[groups]
5xyz = { table = "notes", name = "Notes" }
"""


def problems(text: str, name: str = "map.json") -> str:
    with pytest.raises(RequestError) as caught:
        read_map(text, name)
    return str(caught.value)


def test_least_map_has_an_element_a_type_and_a_length() -> None:
    columns = Columns(element="Name", type="Type", length="Len")
    assert read_map(LEAST, "map.json") == ImportMap(columns)


def test_toml_is_known_by_its_name_and_says_the_same_as_json() -> None:
    assert read_map(WHOLE, "Map.TOML") == ImportMap(
        Columns(element="Name", type="Type", start="From"),
        counts_from=1,
        counts_in="body",
        end_is="next",
        delimiter=";",
        encoding="cp1252",
        types={"K": Rule("code"), "$": Rule("amount", 2)},
        skip={"DATA TYPE": ("HEADER", "TOTAL"), "FROM": ("",)},
        only={"STATE": ("CURRENT",)},
        constants={"sources": "L"},
        pii_tags={"Y": "name"},
        groups={"5XYZ": Group("notes", "Notes")},
    )


def test_all_problems_of_a_map_are_told_at_once() -> None:
    text = """{
      "columns": {"element": "Name", "typ": "Type", "length": 4},
      "counts_from": 2, "counts_in": "file", "cuonts_in": "body",
      "types": {"K": "kode", "L": {"kind": "text", "decimals": -1}, "M": {}},
      "skip": {"Type": 5}, "constants": {"kind": "text", "sources": 1}, "pii_tags": [],
      "groups": {"5XYZ": {"table": "X"}}
    }"""
    assert [line.split("; ")[0] for line in problems(text).splitlines()] == [
        "map.json has 13 problems:",
        "  cuonts_in is unknown",
        "  counts_from is 2",
        "  counts_in is 'file'",
        "  columns.typ is unknown",
        "  columns.length is 4",
        "  types.K.kind is 'kode'",
        "  types.L.decimals is -1",
        "  types.M.kind is missing",
        "  skip.Type is 5",
        "  constants.sources is 1",
        "  constants.kind is unknown",
        "  pii_tags is []",
        "  groups.5XYZ.table is 'X'",
    ]


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ('"type": "T", "length": "L"', "columns.element is missing"),
        ('"element": "E", "length": "L"', "columns.type is missing"),
        ('"element": "E", "type": "T"', "columns.start is missing, and so is columns.length"),
        ('"element": "E", "type": "T", "end": "X", "length": "L"', "columns.end needs columns.start"),
        ('"element": "E", "type": "T", "start": "S"', "counts_from is missing: 0 or 1"),
    ],
)
def test_what_a_map_lacks_is_told(columns: str, problem: str) -> None:
    assert problems(f'{{"counts_in": "body", "columns": {{{columns}}}}}').startswith(f"map.json: {problem}")


def test_without_a_start_the_map_says_where_the_first_element_begins() -> None:
    text = '{"columns": {"element": "E", "type": "T", "length": "L"}}'
    problem = "counts_in is missing: record or body, where the first element of a group begins"
    assert problems(text) == f"map.json: {problem}"


def test_constant_stands_for_a_column() -> None:
    text = '{"counts_in": "body", "columns": {"element": "E", "length": "L"}, "constants": {"type": "AN"}}'
    assert read_map(text, "map.json").constants == {"type": "AN"}


@pytest.mark.parametrize(
    ("text", "name", "problem"),
    [
        ("{", "map.json", "map.json line 1, column 2: "),
        ("[]", "map.json", "map.json: not a JSON object; valid: columns, types"),
        ("a = " + "[" * 5000, "map.toml", "map.toml: "),
        ("a = ", "map.toml", "map.toml: Invalid value (at end of document)"),
        ("counts_from = 2020-01-02", "map.toml", 'map.toml: counts_from is "2020-01-02"; valid: '),
    ],
)
def test_document_that_cannot_be_read_is_told_in_one_line(text: str, name: str, problem: str) -> None:
    assert problems(text, name).startswith(problem)

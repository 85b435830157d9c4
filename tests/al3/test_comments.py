import pyarrow as pa
import pytest

from al3spark.al3.comments import LONGEST, comment_of, file_schemas, layout_comment
from al3spark.al3.dictionary import Element, Layout, load_dictionary
from al3spark.al3.tables import JOB_FIELD, table_schemas

LAYOUTS = load_dictionary().layouts
SCHEMAS = file_schemas(LAYOUTS)


def schema_of(*elements: Element, title: str = "Policy") -> pa.Schema:
    layout = Layout("5BPI", "policies", title, elements)
    return file_schemas((layout,))["policies"]


@pytest.mark.parametrize("table", SCHEMAS)
def test_every_table_and_every_column_has_a_comment_of_one_line(table: str) -> None:
    comments = [comment_of(SCHEMAS[table]), *map(comment_of, SCHEMAS[table])]
    assert [each for each in comments if not each or len(each) > LONGEST or not each.isprintable()] == []


def test_but_for_job_and_comments_the_schemas_are_those_of_the_tables() -> None:
    plain = table_schemas(LAYOUTS)
    assert {table: schema.remove(0) for table, schema in SCHEMAS.items()} == plain
    assert {schema.field(0) for schema in SCHEMAS.values()} == {JOB_FIELD}


@pytest.mark.parametrize(
    ("table", "column", "expected"),
    [
        (
            "policies",
            "current_term_amount",
            "Current term amount: 5BPI11 (FPREM), amount, 2 decimals, bytes 111-122, sources ABCSW, "
            "confidence high",
        ),
        (
            "policies",
            "rate_date_superseded",
            "Rate date superseded: 5BPI23 (ZZMOV), date_yymmdd, bytes 171-176, superseded by rate_date, "
            "sources A, confidence medium",
        ),
        (
            "policies",
            "policy_status_date_superseded",
            "Policy status date superseded: 5BPI26 (ZZMOV), date_yymmdd, bytes 181-186, superseded by "
            "5CNR09, sources A, confidence medium",
        ),
        (
            "policies",
            "signed_by_code",
            "Signed by code: 5BPI14 (SGNBY), code, byte 136, sources AW, confidence medium",
        ),
        (
            "insureds",
            "insureds_name_last",
            "Insureds name, last name: 5BIS01 (INAME), name, bytes 30-89, pii name, sources ABCDS, "
            "confidence high",
        ),
        (
            "unmapped_groups",
            "raw",
            "The whole record, header included, as it was sent",
        ),
        ("errors", "raw", "The shape of the value, digits as 9 and letters as A, null for all but values"),
        ("vehicles", "job_id", "The batch that wrote the row"),
    ],
)
def test_a_comment_says_where_a_column_comes_from(table: str, column: str, expected: str) -> None:
    assert comment_of(SCHEMAS[table].field(column)) == expected


def test_the_comment_of_a_table_is_the_title_of_its_group() -> None:
    assert comment_of(SCHEMAS["policies"]) == "Basic Policy Information (5BPI), one row for each record"
    assert layout_comment(Layout("5BPI", "policies", "", ())) == "5BPI, one row for each record"


def test_an_element_with_the_name_of_a_column_of_all_tables_is_described_as_the_element() -> None:
    schema = schema_of(Element("5BPI", "policy_number", 30, 25, "text", element_id="5BPI01"))
    assert comment_of(schema.field("policy_number")) == "Policy number: 5BPI01, text, bytes 30-54"


def test_a_comment_says_what_becomes_of_what_identifies_people() -> None:
    schema = schema_of(Element("5BPI", "ssn", 30, 9, "integer", pii="ssn", protection="hash"))
    assert comment_of(schema.field("ssn")) == "Ssn: integer, bytes 30-38, pii ssn (hash)"
    assert schema.field("ssn").type == pa.string()


def test_a_gap_says_which_bytes_it_has() -> None:
    schema = schema_of(Element("5BPI", "unnamed_30", 30, 4, "gap"))
    assert comment_of(schema.field("unnamed_30")) == "What no element describes: gap, bytes 30-33"


def test_what_a_dictionary_says_is_one_line_and_cut() -> None:
    schema = schema_of(Element("5BPI", "x", 30, 4, "text", ref_id="a\nb\tc\0d " * 99), title="It's\r\n'so'")
    assert comment_of(schema.field("x")).startswith("X: a b c d a b c d")
    assert len(comment_of(schema.field("x"))) == LONGEST
    assert comment_of(schema.field("x")).endswith("...")
    assert comment_of(schema) == "It's 'so' (5BPI), one row for each record"

import pyarrow as pa
import pytest

from al3spark.al3.dictionary import CONTEXT_COLUMNS, LEADING_COLUMNS, Element, Layout
from al3spark.al3.faults import ERRORS_SCHEMA
from al3spark.al3.tables import UNMAPPED_SCHEMA, element_type, layout_schema, table_schemas
from tests.al3.samples import DICTIONARY

NAMED = Layout(
    "5BIS",
    "insureds",
    "",
    (Element("5BIS", "insured", 30, 60, "name"), Element("5BIS", "premium", 90, 12, "amount", 2)),
)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("text", pa.string()),
        ("code", pa.string()),
        ("phone", pa.string()),
        ("reserved", pa.string()),
        ("gap", pa.string()),
        ("time_hhmm", pa.string()),
        ("name", pa.string()),
        ("integer", pa.int64()),
        ("decimal", pa.decimal128(18, 3)),
        ("amount", pa.decimal128(18, 3)),
        ("date_yymmdd", pa.date32()),
        ("date_ccyymmdd", pa.date32()),
        ("month_mmyy", pa.date32()),
        ("timestamp", pa.timestamp("us")),
        ("flag", pa.bool_()),
    ],
)
def test_kind_has_its_type(kind: str, expected: pa.DataType) -> None:
    assert element_type(Element("5BIS", "x", 30, 4, kind, 3)) == expected


def test_table_of_a_group_has_leading_columns_elements_and_extra_bytes() -> None:
    schema = layout_schema(NAMED)
    assert schema.names == [
        *(
            "file_id",
            "record_offset",
            "record_length",
            "message_offset",
            "transaction_offset",
            "parent_offset",
        ),
        *(
            "group_version",
            "processing_level",
            "iteration",
            "parent_group",
            "parent_level",
            "parent_iteration",
        ),
        "header_flags",
        *CONTEXT_COLUMNS,
        *("insured", "insured_format", "insured_prefix", "insured_first", "insured_middle", "insured_last"),
        *("insured_suffix", "premium", "extra_bytes"),
    ]
    assert schema.field("extra_bytes").type == pa.binary()
    assert [field.name for field in schema if not field.nullable] == [
        "file_id",
        "record_offset",
        "record_length",
    ]


def test_leading_columns_are_those_that_the_dictionary_keeps_free() -> None:
    assert ("job_id", *UNMAPPED_SCHEMA.names[:-2]) == LEADING_COLUMNS
    types = [UNMAPPED_SCHEMA.field(name).type for name in ("record_offset", "record_length", "iteration")]
    assert types == [pa.int64(), pa.int32(), pa.int32()]


def test_element_named_like_a_context_column_is_that_column_in_the_group_that_says_it() -> None:
    schema = table_schemas(DICTIONARY.layouts)["policies"]
    assert schema.names.count("policy_number") == 1
    context = schema.names[schema.names.index("header_flags") + 1 : schema.names.index("policy_number")]
    assert context == [name for name in CONTEXT_COLUMNS if name != "policy_number"]


def test_every_group_has_a_table_beside_those_that_are_no_group() -> None:
    schemas = table_schemas(DICTIONARY.layouts)
    assert len(schemas) == len(DICTIONARY.layouts) + 2
    assert schemas["policies"].field("current_term_amount").type == pa.decimal128(18, 2)
    assert schemas["unmapped_groups"].names[-2:] == ["group_code", "raw"]
    assert schemas["errors"] == ERRORS_SCHEMA

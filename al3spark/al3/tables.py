"""The Arrow schema of every table, made from the dictionary.

All tables of groups start with the same columns: keys, the fields of the header, and what the transaction is
about (unless the group itself has an element of that name); then the elements, then `extra_bytes`. Tables of
no group: `unmapped_groups` and `errors`. The `job_id` is no part of these schemas: the writer puts it in
front, so that the parse does not depend on the run.
"""

import pyarrow as pa

from al3spark.al3.dictionary import HASH, KINDS, MASK, Element, Layout
from al3spark.al3.faults import ERRORS_SCHEMA

UNMAPPED_TABLE, ERRORS_TABLE = "unmapped_groups", "errors"

JOB_FIELD = pa.field("job_id", pa.string(), nullable=False)

LEADING_FIELDS = (
    pa.field("file_id", pa.string(), nullable=False),
    pa.field("record_offset", pa.int64(), nullable=False),
    pa.field("record_length", pa.int32(), nullable=False),
    pa.field("message_offset", pa.int64()),
    pa.field("transaction_offset", pa.int64()),
    pa.field("parent_offset", pa.int64()),
    pa.field("group_version", pa.string()),
    pa.field("processing_level", pa.string()),
    pa.field("iteration", pa.int32()),
    pa.field("parent_group", pa.string()),
    pa.field("parent_level", pa.string()),
    pa.field("parent_iteration", pa.int32()),
    pa.field("header_flags", pa.string()),
)

CONTEXT_FIELDS = (
    pa.field("policy_number", pa.string()),
    pa.field("line_of_business", pa.string()),
    pa.field("transaction_function", pa.string()),
    pa.field("business_purpose", pa.string()),
    pa.field("transaction_kind", pa.string()),
    pa.field("transaction_effective_date", pa.date32()),
)

UNMAPPED_SCHEMA = pa.schema(
    [*LEADING_FIELDS, *CONTEXT_FIELDS, pa.field("group_code", pa.string()), pa.field("raw", pa.binary())]
)

_TYPES = {
    "string": pa.string(),
    "int64": pa.int64(),
    "date32": pa.date32(),
    "timestamp[us]": pa.timestamp("us"),
    "bool": pa.bool_(),
}


def element_type(element: Element) -> pa.DataType:
    """Give the Arrow type of an element's column."""
    if element.protection in (MASK, HASH):
        return pa.string()
    kind = KINDS[element.kind]
    return pa.decimal128(18, element.scale) if kind == "decimal128" else _TYPES[kind]


def layout_schema(layout: Layout) -> pa.Schema:
    """Give the schema of a group's table, `job_id` aside."""
    elements = [
        pa.field(column, element_type(element)) for element in layout.elements for column in element.columns
    ]
    context = [each for each in CONTEXT_FIELDS if each.name in layout.context_columns]
    return pa.schema([*LEADING_FIELDS, *context, *elements, pa.field("extra_bytes", pa.binary())])


def table_schemas(layouts: tuple[Layout, ...]) -> dict[str, pa.Schema]:
    """Give the schema of every table by its name, `job_id` aside."""
    groups = {layout.table: layout_schema(layout) for layout in layouts}
    return {**groups, UNMAPPED_TABLE: UNMAPPED_SCHEMA, ERRORS_TABLE: ERRORS_SCHEMA}

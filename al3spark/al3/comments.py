"""What every table and column means, in a line: for catalogs, for the data dictionary, for Parquet schemas.

In: layouts. Out: the schemas of the files that are written, with a `comment` in the metadata of a schema and
of its fields.
Promises: a comment is one line of at most 255 characters, which is what catalogs take; but for comments and
`job_id` the schemas are those of `tables`; a column that is not known here has no comment.
"""

from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa

from al3spark.al3.dictionary import KEEP, Element, Layout
from al3spark.al3.tables import ERRORS_TABLE, JOB_FIELD, UNMAPPED_TABLE, table_schemas

COMMENT = b"comment"
LONGEST = 255

_LEADING: Mapping[str, str] = {
    "job_id": "The batch that wrote the row",
    "file_id": "Digest of the content of the file, joins with files and with all other tables",
    "record_offset": "Byte offset of the record in the file, from 0, with file_id the primary key",
    "record_length": "Bytes of the record, as its header says",
    "message_offset": "record_offset of its 1MHG in messages, null where it is uncertain",
    "transaction_offset": "record_offset of its 2TRG in transactions, null where it is uncertain",
    "parent_offset": "record_offset of the record that it belongs to, in the table of parent_group",
    "group_version": "Version of the group, header byte 8",
    "processing_level": "Processing level, header bytes 10-11",
    "iteration": "Which of the records of this group and level it is, header bytes 12-15",
    "parent_group": "Group of the parent, as sent, header bytes 16-19",
    "parent_level": "Processing level of the parent, as sent, header bytes 20-21",
    "parent_iteration": "Iteration of the parent, as sent, header bytes 22-25",
    "header_flags": "Header bytes 7, 9 and 26-29, null if all are blank",
    "policy_number": "Policy number, as the transaction of the record says",
    "line_of_business": "Line of business, as the transaction of the record says",
    "transaction_function": "Function of the transaction of the record, as sent",
    "business_purpose": "Business purpose of the transaction of the record, as sent",
    "transaction_kind": "What the transaction of the record is about, in one word",
    "transaction_effective_date": "Effective date of the transaction of the record",
    "extra_bytes": "What follows the last known element of the record, null if nothing does",
}

_UNMAPPED: dict[str, str] = {
    "group_code": "Designator of the group",
    "raw": "The whole record, header included, as it was sent",
}

_ERRORS: dict[str, str] = {
    "file_id": "Digest of the content of the file, null if it could not be read",
    "file_path": "The file as it was listed",
    "severity": "error or warning",
    "category": "file, structure, hierarchy or value",
    "code": "What is wrong, one of a stable set of words",
    "message": "What is wrong, for people",
    "group_code": "Designator of the group in which it is",
    "element": "Name of the element in which it is",
    "element_id": "Id of that element in the standard",
    "record_offset": "Byte offset of the record in the file",
    "byte_offset": "Byte offset of the place in the file",
    "byte_length": "Bytes of the place in the file",
    "raw": "The shape of the value, digits as 9 and letters as A, null for all but values",
    "retryable": "Whether another try can help",
}

_TABLES: Mapping[str, tuple[str, dict[str, str]]] = {
    UNMAPPED_TABLE: (
        "Records of groups that the dictionary does not describe, one row for each",
        _UNMAPPED,
    ),
    ERRORS_TABLE: ("What is wrong in the data, one row for each fault", _ERRORS),
}

_NAME_PARTS: Mapping[str, str] = {
    "format": "format code (C company, P person, F family)",
    "prefix": "prefix",
    "first": "first name",
    "middle": "middle name",
    "last": "last name",
    "suffix": "suffix",
}


def file_schemas(layouts: tuple[Layout, ...]) -> dict[str, pa.Schema]:
    """Give the schema of the files of every table by its name: `job_id` and all others, with comments."""
    by_table = {layout.table: layout for layout in layouts}
    schemas = {}
    for table, schema in table_schemas(layouts).items():
        if layout := by_table.get(table):
            told, own = layout_comment(layout), dict(_element_comments(layout))
        else:
            told, own = _TABLES[table]
        schemas[table] = _comment([JOB_FIELD, *schema], told, {**_LEADING, **own})
    return schemas


def layout_comment(layout: Layout) -> str:
    """Say what the rows of a group's table are."""
    title = f"{layout.title} ({layout.group})" if layout.title else layout.group
    return f"{title}, one row for each record"


def comment_of(described: pa.Field | pa.Schema) -> str:
    """The comment of a column or of a table; "" if it has none."""
    found: bytes = (described.metadata or {}).get(COMMENT, b"")
    return found.decode()


def _comment(fields: Sequence[pa.Field], told: str, comments: Mapping[str, str]) -> pa.Schema:
    commented = [
        field.with_metadata({COMMENT: _line(comments[field.name])}) if field.name in comments else field
        for field in fields
    ]
    return pa.schema(commented, {COMMENT: _line(told)})


def _element_comments(layout: Layout) -> Iterator[tuple[str, str]]:
    ids = {element.element_id: element.name for element in layout.elements if element.element_id}
    for element in layout.elements:
        facts = _describe(element, ids)
        title = element.name.replace("_", " ").capitalize()
        if element.kind == "gap":
            title = "What no element describes"
        yield element.name, f"{title}: {facts}"
        for column in element.columns[1:]:
            part = column.removeprefix(f"{element.name}_")
            yield column, f"{title}, {_NAME_PARTS[part]}: {facts}"


def _describe(element: Element, columns: Mapping[str, str]) -> str:
    """Say where an element comes from. `columns`: the names of the group's elements by their ids."""
    newer = columns.get(element.superseded_by, element.superseded_by)
    scale = f"{element.scale} decimals" if element.scale else ""
    facts = [
        tell_ids(element),
        f"{element.kind}, {scale}" if scale else element.kind,
        tell_bytes(element),
        f"superseded by {newer}" if newer else "",
        f"pii {tell_pii(element)}" if element.pii else "",
        f"sources {element.sources}" if element.sources else "",
        f"confidence {element.confidence}" if element.confidence else "",
    ]
    return ", ".join(fact for fact in facts if fact)


def tell_ids(element: Element) -> str:
    """Say how the standard calls an element."""
    if element.element_id and element.ref_id:
        return f"{element.element_id} ({element.ref_id})"
    return element.element_id or element.ref_id


def tell_pii(element: Element) -> str:
    """Say what an element tells of people, and what becomes of that; "" for nothing."""
    return f"{element.pii} ({element.protection})" if element.protection != KEEP else element.pii


def tell_bytes(element: Element) -> str:
    """Say which bytes of a record an element has."""
    return f"byte {element.start}" if element.length == 1 else f"bytes {element.start}-{element.end - 1}"


def _line(text: str) -> bytes:
    if not text.isprintable():
        text = "".join(each if each.isprintable() else " " for each in text)
    line = " ".join(text.split())
    return (line if len(line) <= LONGEST else f"{line[: LONGEST - 3]}...").encode()

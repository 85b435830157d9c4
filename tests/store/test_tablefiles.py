import io
import json

import pyarrow as pa
import pyarrow.parquet as pq

from al3spark.store.files_table import FILES_SCHEMA
from al3spark.store.tablefiles import SPARK_SCHEMA, begin_parquet

COMMENTED = pa.schema(
    [
        pa.field("job_id", pa.string(), nullable=False),
        pa.field("premium", pa.decimal128(18, 2), metadata={"comment": "What it costs, 100 €"}),
        pa.field("sent_at", pa.timestamp("us"), metadata={"comment": "When"}),
    ],
    {"comment": "Policies", "pandas": "{}"},
)


def written(schema: pa.Schema) -> pq.ParquetFile:
    file = io.BytesIO()
    with begin_parquet(file, schema) as parquet:
        parquet.write_table(schema.empty_table())
    return pq.ParquetFile(io.BytesIO(file.getvalue()))


def told(schema: pa.Schema) -> dict[bytes, bytes]:
    return written(schema).metadata.metadata or {}


def test_comments_are_in_the_arrow_schema_of_the_file() -> None:
    found = written(COMMENTED).schema_arrow
    assert found.equals(COMMENTED)
    assert found.field("premium").metadata == {b"comment": "What it costs, 100 €".encode()}
    assert found.metadata[b"comment"] == b"Policies"


def test_spark_finds_comments_in_the_schema_that_it_keeps() -> None:
    assert json.loads(told(COMMENTED)[SPARK_SCHEMA.encode()]) == {
        "type": "struct",
        "fields": [
            {"name": "job_id", "type": "string", "nullable": False, "metadata": {}},
            {
                "name": "premium",
                "type": "decimal(18,2)",
                "nullable": True,
                "metadata": {"comment": "What it costs, 100 €"},
            },
            {"name": "sent_at", "type": "timestamp_ntz", "nullable": True, "metadata": {"comment": "When"}},
        ],
    }


def test_what_else_a_schema_carries_about_itself_is_left_out() -> None:
    assert set(told(COMMENTED)) == {b"comment", SPARK_SCHEMA.encode(), b"ARROW:schema"}
    again = written(written(COMMENTED).schema_arrow)  # as files are written that are merged
    assert again.metadata.metadata == told(COMMENTED)


def test_what_is_to_be_kept_is_in_the_arrow_schema_of_the_file() -> None:
    file = io.BytesIO()
    with begin_parquet(file, COMMENTED, {b"columns": b"{}"}) as parquet:
        parquet.write_table(COMMENTED.empty_table())
    found = pq.ParquetFile(io.BytesIO(file.getvalue())).schema_arrow.metadata
    assert found == {b"comment": b"Policies", b"columns": b"{}"}


def test_a_schema_without_comments_or_of_strange_types_is_not_told_to_spark() -> None:
    strange = COMMENTED.append(pa.field("list", pa.list_(pa.string())))
    assert SPARK_SCHEMA.encode() not in told(strange)
    assert set(told(pa.schema([("a", pa.string())]))) == {b"ARROW:schema"}


def test_every_column_of_files_has_a_comment() -> None:
    assert [field.name for field in FILES_SCHEMA if b"comment" not in (field.metadata or {})] == []

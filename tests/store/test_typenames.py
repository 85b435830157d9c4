import pyarrow as pa
import pytest

from al3spark.errors import StoreError
from al3spark.store.typenames import type_name


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (pa.string(), ("STRING", "string", "VARCHAR", "string")),
        (pa.int64(), ("BIGINT", "bigint", "BIGINT", "long")),
        (pa.int32(), ("INT", "int", "INTEGER", "integer")),
        (pa.date32(), ("DATE", "date", "DATE", "date")),
        (pa.timestamp("us"), ("TIMESTAMP_NTZ", "timestamp", "TIMESTAMP", "timestamp_ntz")),
        (
            pa.timestamp("us", "UTC"),
            ("TIMESTAMP", "timestamp", "TIMESTAMP WITH TIME ZONE", "timestamp"),
        ),
        (pa.bool_(), ("BOOLEAN", "boolean", "BOOLEAN", "boolean")),
        (pa.binary(), ("BINARY", "binary", "BLOB", "binary")),
        (pa.decimal128(18, 2), ("DECIMAL(18,2)", "decimal(18,2)", "DECIMAL(18,2)", "decimal(18,2)")),
    ],
)
def test_a_type_has_its_name(kind: pa.DataType, expected: tuple[str, ...]) -> None:
    names = tuple(type_name(kind, naming) for naming in ("spark", "athena", "duckdb", "json"))
    assert names == expected


def test_a_type_that_no_table_has_is_one_line() -> None:
    with pytest.raises(StoreError, match=r"^type list<item: string> is none that a table of al3spark has$"):
        type_name(pa.list_(pa.string()), "spark")

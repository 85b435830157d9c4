from datetime import date

import pyarrow as pa
import pytest

from al3spark.spark.partitions import deal, without_partitions

ROWS = pa.RecordBatch.from_pydict(
    {
        "line_of_business": ["HOME", "AUTOP", None, "HOME", "A/B%="],
        "transaction_effective_date": [
            date(2026, 3, 4),
            None,
            date(2026, 3, 9),
            date(2025, 12, 31),
            date(2026, 3, 31),
        ],
        "record_offset": [0, 10, 20, 30, 40],
    }
)


def dealt(*columns: str) -> dict[str, list[int]]:
    return {folder: rows["record_offset"].to_pylist() for folder, rows in deal(ROWS, columns)}


def test_rows_go_to_the_folder_of_their_value_in_order() -> None:
    assert dealt("line_of_business") == {
        "line_of_business=A%2FB%25%3D": [40],
        "line_of_business=AUTOP": [10],
        "line_of_business=HOME": [0, 30],
        "line_of_business=__HIVE_DEFAULT_PARTITION__": [20],
    }


def test_folders_lie_in_each_other_in_the_order_of_the_columns() -> None:
    assert dealt("transaction_effective_year", "line_of_business") == {
        "transaction_effective_year=2025/line_of_business=HOME": [30],
        "transaction_effective_year=2026/line_of_business=A%2FB%25%3D": [40],
        "transaction_effective_year=2026/line_of_business=HOME": [0],
        "transaction_effective_year=2026/line_of_business=__HIVE_DEFAULT_PARTITION__": [20],
        "transaction_effective_year=__HIVE_DEFAULT_PARTITION__/line_of_business=AUTOP": [10],
    }


def test_a_month_is_its_first_day() -> None:
    assert dealt("transaction_effective_month") == {
        "transaction_effective_month=2025-12-01": [30],
        "transaction_effective_month=2026-03-01": [0, 20, 40],
        "transaction_effective_month=__HIVE_DEFAULT_PARTITION__": [10],
    }


def test_what_a_folder_says_is_not_in_its_files() -> None:
    schemas = {rows.schema for _, rows in deal(ROWS, ("line_of_business",))}
    assert schemas == {without_partitions(ROWS.schema, ("line_of_business",))}
    assert next(iter(schemas)).names == ["transaction_effective_date", "record_offset"]


@pytest.mark.parametrize("columns", [(), ("line_of_business",)])
def test_table_of_no_group_stays_whole(columns: tuple[str, ...]) -> None:
    errors = ROWS.select(["record_offset"])
    assert list(deal(errors, columns)) == [("", errors)]

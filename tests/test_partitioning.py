"""Tables whose folders say what transactions are about, read in three engines, merged and replaced."""

from pathlib import Path

import duckdb
import pyarrow.dataset as ds
import pytest
from pyspark.sql import SparkSession

from al3spark.al3.building import Record, build_file
from al3spark.errors import BatchError
from al3spark.operations import compact_destination
from al3spark.store.places import open_place
from tests.al3.samples import DICTIONARY
from tests.batches import ingest, published_files, put, staged_files

pytestmark = [pytest.mark.spark, pytest.mark.usefixtures("spark")]

BY = ("line_of_business", "transaction_kind")
ROWS = [("P1", "AUTOP", "renewal"), ("P2", "HOME", "change"), ("P3", "1/2", "other"), ("P4", None, "renewal")]
ROWS += [("P5", "ÉTÉ", "other")]


def policies(*rows: tuple[str, str | None, str]) -> bytes:
    purposes = {"renewal": "RWL", "change": "PCH", "other": None}
    records = [
        record
        for number, line, kind in rows
        for record in (
            Record("2TRG", {"cycle_business_purpose": purposes[kind]}, length=212),
            Record("5BPI", {"policy_number": number, "line_of_business_code": line}, "F1", 1, length=285),
            Record("5RMK", {"remarks_text": f"of {number}"}, "F2", 1, ("5BPI", "F1", 1), length=195),
        )
    ]
    return build_file(records, DICTIONARY)


@pytest.fixture
def tables(source: Path, destination: Path) -> Path:
    put(source, {"a.al3": policies(*ROWS[:2]), "b.al3": policies(*ROWS[2:])})
    ingest(source, destination, partition_by=BY)
    return destination


def test_three_engines_read_the_folders_as_columns(tables: Path, spark: SparkSession) -> None:
    expected = sorted((*row, f"of {row[0]}") for row in ROWS)
    columns = ("policy_number", *BY, "remarks_text")
    rows = spark.read.parquet(f"{tables}/remarks").select(*columns).collect()
    assert sorted(map(tuple, rows)) == expected
    files = f"read_parquet('{tables}/remarks/**/*.parquet', hive_partitioning = true)"
    query = f"SELECT {', '.join(columns)} FROM {files}"
    with duckdb.connect() as connection:
        assert sorted(connection.execute(query).fetchall()) == expected
    rows = ds.dataset(tables / "remarks", partitioning="hive").to_table(columns=list(columns)).to_pylist()
    assert sorted(tuple(row.values()) for row in rows) == expected


def test_folders_are_below_the_day_and_tables_of_no_group_have_none(tables: Path) -> None:
    dealt = {(name.split("/")[0], "=" in name.split("/", 2)[2]) for name in published_files(tables)}
    assert dealt == {("files", False), ("policies", True), ("remarks", True), ("transactions", True)}
    found = sorted(
        str(path.parent.relative_to(tables / "policies")).split("/", 1)[1]
        for path in (tables / "policies").rglob("*.parquet")
    )
    assert found == [
        "line_of_business=1%2F2/transaction_kind=other",
        "line_of_business=AUTOP/transaction_kind=renewal",
        "line_of_business=HOME/transaction_kind=change",
        "line_of_business=__HIVE_DEFAULT_PARTITION__/transaction_kind=renewal",
        "line_of_business=ÉTÉ/transaction_kind=other",
    ]


def test_merging_and_replacing_stay_in_their_folder(tables: Path, source: Path, spark: SparkSession) -> None:
    put(source, {"c.al3": policies(("P6", "AUTOP", "renewal"))})
    ingest(source, tables, partition_by=BY)
    merged = compact_destination(open_place(str(tables)), "policies")["merged"]
    assert [(each["partition"].split("/", 1)[1], each["files"]) for each in merged] == [
        ("line_of_business=AUTOP/transaction_kind=renewal", 2)
    ]
    put(source, {"a.al3": policies(("P1", "HOME", "change"))})
    ingest(source, tables, partition_by=BY, on_changed="replace")
    rows = spark.read.parquet(f"{tables}/policies").select("policy_number", "line_of_business").collect()
    expected = [("P1", "HOME"), ("P3", "1/2"), ("P4", None), ("P5", "ÉTÉ"), ("P6", "AUTOP")]
    assert sorted(map(tuple, rows)) == expected


def test_too_many_folders_stop_the_batch_before_anything_is_published(
    source: Path, destination: Path
) -> None:
    put(source, {"a.al3": policies(*ROWS)})
    with pytest.raises(BatchError) as caught:
        ingest(source, destination, partition_by=BY, max_partitions=4)
    assert str(caught.value) == (
        "policies would get 5 folders by line_of_business, transaction_kind, max_partitions is 4: nothing of "
        "the chunk is published; partition by less, or allow more"
    )
    assert (published_files(destination), staged_files(destination)) == ([], [])
    ingest(source, destination, partition_by=BY, max_partitions=5)
    assert len(list((destination / "policies").rglob("*.parquet"))) == 5

"""A newer dictionary adds columns, and three engines read old and new files together; types stay."""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from al3spark.al3.comments import comment_of
from al3spark.al3.dictionary import load_dictionary
from al3spark.al3.privacy import protect
from al3spark.catalogs.ddl import ddl_statements
from al3spark.catalogs.evolution import NOTE, check_evolution, note_schemas
from al3spark.catalogs.schemas import Planned, plan_tables
from al3spark.catalogs.views import view_statements
from al3spark.cli import main
from al3spark.errors import RequestError
from al3spark.operations import compact_destination
from al3spark.store.documents import write_manifest
from al3spark.store.places import Place, open_place
from al3spark.store.typenames import type_name
from tests.batches import ingest, parquet_files, put
from tests.tables import put_parquet

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PLANNED = plan_tables(load_dictionary())
POLICIES = PLANNED.schemas["policies"]
OLD = "policies/ingest_date=2026-01-02/part-batch-20260102-aaaaaa-000000-00000.parquet"
NEW = "policies/ingest_date=2026-03-02/part-batch-20260302-bbbbbb-000000-00000.parquet"
REMEDY = (
    "; give the element another name in your dictionary, go back to the dictionary and options of before, or "
    "write to another destination"
)


def changed(column: str, kind: pa.DataType, schema: pa.Schema = POLICIES) -> pa.Schema:
    return schema.set(schema.get_field_index(column), pa.field(column, kind))


def put_schema(place: Place, name: str, schema: pa.Schema) -> None:
    put_parquet(place, name, schema.empty_table())


def with_policies(schema: pa.Schema) -> Planned:
    return replace(PLANNED, schemas={**PLANNED.schemas, "policies": schema})


def check(place: Place, schema: pa.Schema = POLICIES) -> bool:
    return check_evolution(place, with_policies(schema))


def test_an_empty_destination_takes_everything(place: Place) -> None:
    assert check(place)


def test_more_and_fewer_columns_are_fine(place: Place) -> None:
    put_schema(place, OLD, POLICIES.remove(20).append(pa.field("gone", pa.int64())))
    put_schema(place, "carrier_things/ingest_date=2026-01-02/part-j-000000-00000.parquet", POLICIES)
    assert check(place)


def test_a_changed_type_is_one_line_with_table_column_and_both_types(place: Place) -> None:
    put_schema(place, OLD, POLICIES)
    with pytest.raises(RequestError) as caught:
        check(place, changed("current_term_amount", pa.string()))
    assert str(caught.value) == (
        "table policies: column current_term_amount would be string now, but it is decimal(18,2) in "
        f"{place.uri(OLD)}{REMEDY}"
    )


def test_a_column_that_only_older_files_have_keeps_its_type_too(place: Place) -> None:
    put_schema(place, OLD, POLICIES)
    put_schema(place, NEW, POLICIES.remove(POLICIES.get_field_index("rate_date")))
    with pytest.raises(
        RequestError, match=r"^table policies: column rate_date would be bigint now, but it is date "
    ):
        check(place, changed("rate_date", pa.int64()))


@pytest.mark.parametrize(
    ("rewritten", "newer"),
    [
        ("2026-01-05/part-batch-9-000000-r00000", "2026-01-20/part-batch-9-000001-r00000"),
        ("2026-01-05/part-batch-2-000000-r00000", "2026-03-20/part-batch-2-000000-00000"),
    ],
    ids=["compaction", "replacement"],
)
def test_a_type_that_only_a_rewritten_file_has_stays_too(place: Place, rewritten: str, newer: str) -> None:
    write_manifest(place, "batch-2", {"versions": {"schemas": "x"}})
    put_schema(place, f"policies/ingest_date={rewritten}.parquet", POLICIES)
    put_schema(
        place, f"policies/ingest_date={newer}.parquet", POLICIES.remove(POLICIES.get_field_index("rate_date"))
    )
    with pytest.raises(RequestError, match=r"^table policies: column rate_date would be bigint now, but"):
        check(place, changed("rate_date", pa.int64()))


def test_several_changes_are_told_at_once(place: Place) -> None:
    put_schema(place, OLD, pa.schema([pa.field(field.name, pa.list_(pa.int8())) for field in POLICIES]))
    with pytest.raises(RequestError) as caught:
        check(place)
    lines = str(caught.value).splitlines()
    assert len(lines) == 11
    assert lines[0].startswith(
        "table policies: column job_id would be string now, but it is list<element: int8> in "
    )
    assert lines[-1] == f"  and {len(POLICIES) - 10} more{REMEDY}"


def test_who_writes_with_the_schemas_of_before_reads_no_file(place: Place) -> None:
    note_schemas(place, PLANNED)
    note = place.read(NOTE)
    place.write_document(OLD, b"no Parquet, so that reading it would fail")
    assert not check(place)
    note_schemas(place, PLANNED)
    assert place.read(NOTE) == note


def test_what_a_job_that_died_has_written_counts(place: Place) -> None:
    """It left no manifest; its note says that the schemas of the run before are not the last ones."""
    note_schemas(place, PLANNED)
    other = with_policies(changed("rate_date", pa.string()))
    note_schemas(place, other)
    put_schema(place, OLD, other.schemas["policies"])
    with pytest.raises(RequestError, match="column rate_date would be date now, but it is string in"):
        note_schemas(place, PLANNED)


def test_folders_that_stand_for_other_columns_are_one_line(place: Place) -> None:
    """Spark and DuckDB refuse to read a table whose files are in folders of different columns."""
    put_schema(place, OLD, POLICIES)
    with pytest.raises(RequestError) as caught:
        check_evolution(place, plan_tables(load_dictionary(), ("line_of_business",)))
    assert str(caught.value) == (
        "table policies: its folders would be by ingest_date, line_of_business now, but are by ingest_date "
        f"in {place.uri(OLD)}{REMEDY}"
    )


def test_protecting_a_value_that_was_kept_is_a_changed_type(place: Place) -> None:
    drivers = PLANNED.schemas["drivers"]
    put_schema(place, f"drivers/{OLD.partition('/')[2]}", drivers)
    masked = protect(load_dictionary(), {"birth_date": "mask"})
    expected = r"^table drivers: column date_of_birth\w* would be string now, but it is date in "
    with pytest.raises(RequestError, match=expected):
        check_evolution(place, plan_tables(masked))


def planned_of(folder: str) -> Planned:
    return plan_tables(load_dictionary(folder))


def make_dictionary(folder: Path, *elements: str) -> str:
    rows = ["group,element,start,length,kind,scale,element_id", *elements]
    put(
        folder,
        {
            "groups.csv": b"group,table,name\nCVH1,carrier_coverages,Carrier's coverage\n",
            "elements.csv": "\n".join(rows).encode(),
        },
    )
    return str(folder)


def carrier_file(code: str, limit: int) -> bytes:
    """A file with one record of the carrier's own group."""
    record = f"CVH1050   W10001{'':14}{code:<10}{limit:09}+"
    return f"1MHG010   2TRG010   {record}3MTG010   ".encode()


CODE, LIMIT = "CVH1,code,30,10,code,,CVH101", "CVH1,limit_amount,40,10,amount,2,CVH102"


def test_the_command_refuses_a_changed_type_before_spark_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(tmp_path / "in", {"a.al3": carrier_file("COLL", 1)})
    before = planned_of(make_dictionary(tmp_path / "old", CODE, LIMIT)).schemas["carrier_coverages"]
    name = f"carrier_coverages/{OLD.partition('/')[2]}"
    place = open_place(str(tmp_path / "out"))
    put_schema(place, name, before)
    now = make_dictionary(tmp_path / "new", CODE, LIMIT.replace("amount,2", "text,"))
    with pytest.raises(SystemExit) as ended:
        main(["ingest", str(tmp_path / "in"), str(tmp_path / "out"), "--dictionary", now, "--min-age-s", "0"])
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        "al3spark: table carrier_coverages: column limit_amount would be string now, but it is decimal(18,2) "
        f"in {place.uri(name)}{REMEDY}\n"
    )


@pytest.fixture
def evolved(tmp_path: Path, spark: "SparkSession") -> Path:
    """A destination of two runs: the second dictionary adds a column; older files have no comments."""
    out, source = tmp_path / "out", tmp_path / "in"
    put(source, {"a.al3": carrier_file("COLL", 11500)})
    old = make_dictionary(tmp_path / "old", CODE)
    ingest(source, out, dictionaries=(old,))
    for path in parquet_files(out, "carrier_coverages"):
        table = pq.ParquetFile(path).read()
        plain = pa.schema([field.remove_metadata() for field in table.schema])
        pq.write_table(table.cast(plain), path)
    put(source, {"b.al3": carrier_file("COMP", 22500)})
    ingest(source, out, dictionaries=(make_dictionary(tmp_path / "new", CODE, LIMIT),))
    return out


EXPECTED = [("COLL", None), ("COMP", "225.00")]
COMMENT = "Limit amount: CVH102, amount, 2 decimals, bytes 40-49"


def rows_of(found: list[Any]) -> list[tuple[Any, Any]]:
    return sorted((code, None if limit is None else str(limit)) for code, limit in found)


@pytest.mark.spark
def test_old_and_new_files_are_read_together(
    evolved: Path, spark: "SparkSession", capsys: pytest.CaptureFixture[str]
) -> None:
    paths = parquet_files(evolved, "carrier_coverages")
    assert len(paths) == 2
    where = evolved / "carrier_coverages"

    # pyarrow: a dataset with the columns of all files
    schema = pa.unify_schemas([pq.read_schema(path) for path in paths])
    table = ds.dataset(where, schema=schema, partitioning="hive").to_table(["code", "limit_amount"])
    assert rows_of([tuple(row.values()) for row in table.to_pylist()]) == EXPECTED
    assert comment_of(schema.field("limit_amount")) == COMMENT

    # DuckDB: columns by name
    with duckdb.connect() as session:
        tables = ["carrier_coverages", "files"]
        for statement in view_statements(str(evolved), tables, "duckdb", load_dictionary()):
            session.execute(statement)
        found = session.execute("SELECT code, limit_amount FROM carrier_coverages").fetchall()
    assert rows_of(found) == EXPECTED

    # Spark: merged schemas, of the reader, of a view, and of a table as the DDL makes it
    frame = spark.read.option("mergeSchema", "true").parquet(str(where))
    assert rows_of([(row.code, row.limit_amount) for row in frame.collect()]) == EXPECTED
    assert frame.schema["limit_amount"].metadata == {"comment": COMMENT}
    views = view_statements(str(evolved), ["carrier_coverages"], "spark", load_dictionary())
    spark.sql(next(each for each in views if "VIEW carrier_coverages" in each))
    assert described(spark, "carrier_coverages")["limit_amount"] == ("decimal(18,2)", COMMENT)
    spark.catalog.dropTempView("carrier_coverages")
    planned = planned_of(str(evolved.parent / "new"))
    planned = replace(planned, schemas={"carrier_coverages": planned.schemas["carrier_coverages"]})
    for statement in ddl_statements(planned, "spark", str(evolved), planned.schemas):
        spark.sql(statement)
    try:
        assert described(spark, "carrier_coverages")["limit_amount"] == ("decimal(18,2)", COMMENT)
        table = spark.table("carrier_coverages").where("ingest_date >= DATE'2026-01-01'")
        assert rows_of([(row.code, row.limit_amount) for row in table.collect()]) == EXPECTED
    finally:
        spark.sql("DROP TABLE carrier_coverages")

    # and merged into one file
    compact_destination(open_place(str(evolved)), "carrier_coverages")
    (path,) = parquet_files(evolved, "carrier_coverages")
    merged = spark.read.parquet(str(path))
    assert rows_of([(row.code, row.limit_amount) for row in merged.collect()]) == EXPECTED
    assert {field.name for field in merged.schema if not field.metadata.get("comment")} == set()


def described(spark: "SparkSession", table: str) -> dict[str, tuple[str, str | None]]:
    return {row.col_name: (row.data_type, row.comment) for row in spark.sql(f"DESCRIBE {table}").collect()}


@pytest.mark.spark
def test_every_type_that_spark_is_told_is_the_one_in_the_file(tmp_path: Path, spark: "SparkSession") -> None:
    """What Spark keeps of a schema goes before what the file itself says, so the two have to agree."""
    put(tmp_path / "in", {"a.al3": carrier_file("COLL", 1)})
    manifest = ingest(tmp_path / "in", tmp_path / "out")
    assert manifest["versions"]["schemas"] == json.loads((tmp_path / "out" / NOTE).read_text())["digest"]
    for table in ("messages", "files"):
        (path,) = parquet_files(tmp_path / "out", table)
        read = spark.read.parquet(str(path)).schema
        assert {field.name: field.dataType.simpleString().upper() for field in read} == {
            field.name: type_name(field.type, "spark") for field in PLANNED.schemas[table]
        }
        assert [field.name for field in read if not field.metadata.get("comment")] == []

"""CREATE TABLE as engines take it: DuckDB and Spark run it, a parser knows the grammar of Athena."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import duckdb
import pyarrow as pa
import pytest
import sqlglot
from sqlglot import exp

from al3spark.al3.comments import comment_of
from al3spark.al3.dictionary import load_dictionary
from al3spark.al3.privacy import DEFAULT_RULES, protect
from al3spark.catalogs.ddl import ddl_statements
from al3spark.catalogs.schemas import Planned, plan_tables
from al3spark.cli import main
from al3spark.errors import RequestError
from al3spark.store.places import open_place
from tests.tables import put_parquet

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PLANNED = plan_tables(protect(load_dictionary(), DEFAULT_RULES))
SCHEMAS = PLANNED.schemas
FOLDER = pa.field("end", pa.date32(), metadata={"comment": "It's"})
ODD_SCHEMAS = {
    "order": pa.schema(
        [
            pa.field("select", pa.string(), metadata={"comment": "It's a \\ in 'quotes'"}),
            pa.field("group", pa.decimal128(18, 2)),
        ],
        {"comment": "Don't; drop"},
    )
}
ODD = Planned(ODD_SCHEMAS, {"order": (FOLDER,)})


def some(*tables: str) -> Planned:
    return Planned({table: SCHEMAS[table] for table in tables}, PLANNED.folders)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["dictionary", "ddl", *arguments])
    said = capsys.readouterr()
    assert ended.value.code == 0, said.err
    return said.out


def test_duckdb_makes_every_table_with_every_comment(capsys: pytest.CaptureFixture[str]) -> None:
    statements = run(capsys, "--dialect", "duckdb")
    with duckdb.connect() as session:
        session.execute(f"BEGIN; {statements} COMMIT")
        tables = dict(session.execute("SELECT table_name, comment FROM duckdb_tables()").fetchall())
        found = session.execute(
            "SELECT table_name, column_name, comment FROM duckdb_columns() WHERE NOT internal"
        ).fetchall()
    assert tables == {table: comment_of(schema) for table, schema in SCHEMAS.items()}
    assert {(table, column): comment for table, column, comment in found if column != "ingest_date"} == {
        (table, field.name): comment_of(field) for table, schema in SCHEMAS.items() for field in schema
    }


@pytest.mark.parametrize("dialect", ["spark", "athena"])
def test_a_parser_knows_the_grammar(dialect: Literal["spark", "athena"]) -> None:
    made, repaired = [], []
    for statement in ddl_statements(PLANNED, dialect, "s3://bucket/tables/", SCHEMAS):
        if statement.startswith("MSCK"):
            repaired.append(statement.partition("TABLE ")[2].strip("`"))
            continue
        (create,) = sqlglot.parse(statement, dialect=dialect)
        assert isinstance(create, exp.Create)
        made.append(create.find(exp.Table).name)
        columns = [each.name for each in create.this.find_all(exp.ColumnDef)]
        in_folder = [] if dialect == "athena" else ["ingest_date"]
        assert columns == [*SCHEMAS[made[-1]].names, *in_folder]
        located = create.find(exp.LocationProperty).this.name
        assert located == f"s3://bucket/tables/{made[-1]}/"
    assert made == repaired == list(SCHEMAS)


def test_athena_has_its_partition_outside_the_columns_and_its_place_in_s3() -> None:
    create, repair = ddl_statements(some("files"), "athena", "s3a://b/t")
    assert create.startswith("CREATE EXTERNAL TABLE IF NOT EXISTS `files` (\n    `job_id` string COMMENT ")
    assert "    `started_at` timestamp COMMENT " in create
    assert create.endswith(
        "\nPARTITIONED BY (`ingest_date` date COMMENT 'Day on which the rows were ingested, the folder in "
        "which they are')\nSTORED AS PARQUET\nLOCATION 's3://b/t/files/'"
    )
    assert repair == "MSCK REPAIR TABLE `files`"


def test_reserved_words_and_quotes_do_no_harm() -> None:
    with duckdb.connect() as session:
        for statement in ddl_statements(ODD, "duckdb"):
            session.execute(statement)
        assert session.execute(
            "SELECT comment FROM duckdb_columns() WHERE column_name = 'select'"
        ).fetchall() == [("It's a \\ in 'quotes'",)]
    for dialect in ("spark", "athena"):
        statement, *_ = ddl_statements(ODD, dialect, "s3://b/it's")
        (create,) = sqlglot.parse(statement, dialect=dialect)
        assert create.find(exp.CommentColumnConstraint).this.name == "It's a \\ in 'quotes'"


@pytest.mark.parametrize(
    ("dialect", "location", "expected"),
    [
        (
            "athena",
            None,
            r"^athena needs to know where in S3 the tables are: --location s3://bucket/prefix/$",
        ),
        ("athena", "/data/tables", "^athena needs to know where in S3 the tables are"),
        ("duckdb", "/data/tables", "^--location is for spark and athena; a table of DuckDB holds its rows"),
    ],
)
def test_a_place_that_a_dialect_cannot_use_is_refused(
    dialect: Literal["athena", "duckdb"], location: str | None, expected: str
) -> None:
    with pytest.raises(RequestError, match=expected):
        list(ddl_statements(PLANNED, dialect, location))


def test_folders_and_protection_are_as_ingest_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    by = ("--partition-by", "line_of_business", "--partition-by", "transaction_effective_month")
    text = run(capsys, "--table", "drivers", "--pii", "ssn=hash", *by)
    assert text.count("`line_of_business`") == 2
    assert "\nPARTITIONED BY (`ingest_date`, `line_of_business`, `transaction_effective_month`)\n" in text
    assert "    `transaction_effective_month` DATE COMMENT 'First day of the month" in text
    assert re.search(r"`social_security_number\w*` STRING COMMENT '.* pii ssn \(hash\)", text)
    text = run(capsys, "--table", "drivers", "--dialect", "duckdb", *by)
    with duckdb.connect() as session:
        session.execute(text)
    assert run(capsys, "--table", "files", *by).count("PARTITIONED BY (`ingest_date`)") == 1
    with pytest.raises(SystemExit) as ended:
        main(["dictionary", "ddl", "--pii", "shoe_size=mask"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("al3spark: pii: no element has the tag shoe_size; valid: ")


def test_one_table_can_be_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--table", "policies").count("CREATE TABLE") == 1
    with pytest.raises(SystemExit) as ended:
        main(["dictionary", "ddl", "--table", "nothing"])
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        "al3spark: no table nothing; `al3spark dictionary list` shows which there are\n"
    )


def test_partitions_are_looked_for_in_tables_that_are_there(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def repaired(*arguments: str) -> list[str]:
        text = run(capsys, "--location", *arguments)
        return [line for line in text.splitlines() if line.startswith("MSCK")]

    put_parquet(
        open_place(str(tmp_path)),
        "files/ingest_date=2026-01-02/part-j-000000-00000.parquet",
        SCHEMAS["files"].empty_table(),
    )
    assert repaired(str(tmp_path)) == ["MSCK REPAIR TABLE `files`;"]
    with pytest.raises(SystemExit) as ended:
        main(["dictionary", "ddl", "--location", f"{tmp_path}/no"])
    assert ended.value.code == 0
    assert capsys.readouterr().err == (
        f"al3spark: {tmp_path}/no: No such file or directory; partitions are left out, MSCK REPAIR TABLE "
        "adds them\n"
    )


@pytest.mark.spark
def test_spark_makes_every_table(spark: "SparkSession", tmp_path: Path) -> None:
    """Where nothing was ingested yet; odd names and comments come back as they are."""
    tables = some("messages", "unmapped_groups", "errors", "files")
    tables = Planned({**ODD.schemas, **tables.schemas}, {**ODD.folders, **tables.folders})
    spark.sql("CREATE DATABASE ddl")
    spark.sql("USE ddl")
    try:
        for statement in ddl_statements(tables, "spark", str(tmp_path)):
            spark.sql(statement)
        found = {
            name: [(row.col_name, row.comment) for row in spark.sql(f"DESCRIBE `{name}`").collect()]
            for name in tables.schemas
        }
    finally:
        spark.sql("USE default")
        spark.sql("DROP DATABASE ddl CASCADE")
    for name, schema in tables.schemas.items():
        fields = (*schema, *tables.folders[name])
        expected = [(field.name, comment_of(field) or None) for field in fields]
        assert found[name][: len(expected)] == expected

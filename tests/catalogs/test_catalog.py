"""Tables in AWS Glue, on moto's server: what is registered, what a second run adds, what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pytest

from al3spark.al3.comments import comment_of
from al3spark.al3.dictionary import load_dictionary
from al3spark.catalogs import catalog
from al3spark.catalogs.catalog import register_tables
from al3spark.catalogs.schemas import plan_tables
from al3spark.cli import main
from al3spark.config import BatchRequest, Destination, Options, S3Access, Source
from al3spark.errors import BatchError, RequestError, StoreError
from al3spark.parquet.datafiles import DataFile
from al3spark.preparing import prepare
from al3spark.store.calls import Access
from al3spark.store.glue import GlueDatabase, open_database
from al3spark.store.lock import Lock, acquire
from al3spark.store.places import Place, open_place
from al3spark.store.typenames import type_name
from tests.batches import al3, put, run
from tests.buckets import Bucket
from tests.servers import ROOT, make_bucket
from tests.tables import put_parquet

POLICIES = plan_tables(load_dictionary()).schemas["policies"]
DAY, NEXT = "2026-01-02", "2026-01-03"


@pytest.fixture
def glue(moto: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto)
    return boto3.client("glue", region_name="us-east-1")


@pytest.fixture
def bucket(moto: str, tmp_path: Path) -> Bucket:
    return Bucket(moto, make_bucket(moto), tmp_path / "downloaded")


@pytest.fixture
def database(glue: Any, bucket: Bucket) -> str:
    """A database of its own for each test."""
    name = bucket.name.replace("-", "_")
    glue.create_database(DatabaseInput={"Name": name})
    return name


@pytest.fixture
def place(moto: str, bucket: Bucket) -> Place:
    return open_place(f"s3://{bucket.name}/tables/", Access(endpoint_url=moto))


def put_table(
    place: Place, *folders: str, table: str = "policies", schema: pa.Schema = POLICIES, job: str = "j1"
) -> None:
    """A file without rows in each partition."""
    for folder in folders:
        partition = folder if "=" in folder else f"ingest_date={folder}"
        put_parquet(place, f"{table}/{partition}/part-{job}-000000-00000.parquet", schema.empty_table())


@pytest.fixture
def table_of(glue: Any, database: str) -> Callable[[str], dict[str, Any]]:
    def find(name: str = "policies") -> dict[str, Any]:
        found: dict[str, Any] = glue.get_table(DatabaseName=database, Name=name)["Table"]
        return found

    return find


def partitions_of(glue: Any, database: str, table: str = "policies") -> list[dict[str, Any]]:
    pages = glue.get_paginator("get_partitions").paginate(DatabaseName=database, TableName=table)
    return [partition for page in pages for partition in page["Partitions"]]


def columns_of(described: dict[str, Any]) -> list[tuple[str, str]]:
    return [(column["Name"], column["Type"]) for column in described["StorageDescriptor"]["Columns"]]


pytestmark = pytest.mark.s3


def test_tables_have_columns_comments_and_partitions(
    place: Place, glue: Any, database: str, table_of: Callable[..., dict[str, Any]]
) -> None:
    put_table(place, DAY, NEXT)
    done = register_tables(place, database)
    assert done == {
        "database": database,
        "tables": 1,
        "created": ["policies"],
        "updated": [],
        "partitions": 2,
    }
    table = table_of()
    assert table["Description"] == comment_of(POLICIES)
    assert table["StorageDescriptor"]["Columns"] == [
        {"Name": field.name, "Type": type_name(field.type, "athena"), "Comment": comment_of(field)}
        for field in POLICIES
    ]
    assert [(key["Name"], key["Type"]) for key in table["PartitionKeys"]] == [("ingest_date", "date")]
    assert (table["TableType"], table["Parameters"]["classification"]) == ("EXTERNAL_TABLE", "parquet")
    where = place.uri("policies/")
    assert table["StorageDescriptor"]["Location"] == where
    found = partitions_of(glue, database)
    assert [(each["Values"], each["StorageDescriptor"]["Location"]) for each in found] == [
        ([DAY], f"{where}ingest_date={DAY}/"),
        ([NEXT], f"{where}ingest_date={NEXT}/"),
    ]
    assert columns_of(found[0]) == columns_of(table)


def test_a_second_run_adds_only_what_is_new(
    place: Place, glue: Any, database: str, table_of: Callable[..., dict[str, Any]]
) -> None:
    put_table(place, DAY)
    register_tables(place, database)
    before = table_of()
    assert register_tables(place, database) == {
        "database": database,
        "tables": 1,
        "created": [],
        "updated": [],
        "partitions": 0,
    }
    assert table_of() == before
    put_table(place, NEXT)
    put_table(place, NEXT, table="files")
    done = register_tables(place, database)
    assert (done["created"], done["updated"], done["partitions"]) == (["files"], [], 2)
    assert [each["Values"] for each in partitions_of(glue, database)] == [[DAY], [NEXT]]


def test_partitions_go_in_batches(place: Place, glue: Any, database: str) -> None:
    """Moto takes any number; the real service refuses more than 100 at once."""
    days = [f"20{year}-01-{day:02}" for year in range(10, 14) for day in range(1, 29)]
    put_table(place, *days, schema=pa.schema([POLICIES.field(0)]))
    sizes: list[int] = []
    known = open_database(database)
    known.client.meta.events.register(
        "before-parameter-build.glue.BatchCreatePartition",
        lambda params, **_: sizes.append(len(params["PartitionInputList"])),
    )
    assert register_tables(place, database)["partitions"] == 112
    assert len(partitions_of(glue, database)) == 112
    partitions = [{"Values": [day]} for day in days]
    known.add_partitions("policies", partitions)  # all of them are there
    assert sizes == [100, 12]


def test_a_new_column_comes_to_the_table_and_its_partitions(
    place: Place, glue: Any, database: str, table_of: Callable[..., dict[str, Any]]
) -> None:
    put_table(place, DAY, schema=POLICIES.remove(20))
    register_tables(place, database)
    glue.update_table(
        DatabaseName=database,
        TableInput={
            "Name": "policies",
            "Description": "Ours",
            "Owner": "stewards",
            "Parameters": {"our": "own"},
            "PartitionKeys": table_of()["PartitionKeys"],
            "StorageDescriptor": {
                **table_of()["StorageDescriptor"],
                "Columns": [
                    {**each, "Comment": "" if each["Name"] == "file_id" else "mine"}
                    for each in table_of()["StorageDescriptor"]["Columns"]
                ],
            },
        },
    )
    put_table(place, NEXT, job="j2")
    done = register_tables(place, database)
    assert (done["created"], done["updated"], done["partitions"]) == ([], ["policies"], 1)
    table = table_of()
    new = (POLICIES.field(20).name, type_name(POLICIES.field(20).type, "athena"))
    assert columns_of(table)[-1] == new
    assert [columns_of(each)[-1] for each in partitions_of(glue, database)] == [new, new]
    assert (table["Description"], table["Owner"], table["Parameters"]) == ("Ours", "stewards", {"our": "own"})
    comments = {each["Name"]: each["Comment"] for each in table["StorageDescriptor"]["Columns"]}
    assert (comments["job_id"], comments["file_id"]) == ("mine", comment_of(POLICIES.field("file_id")))
    assert register_tables(place, database)["updated"] == []


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Callable[[], Any]], None]:
    """meanwhile(call, do): what somebody else does right before the first call of this name to Glue."""

    def arrange(call: str, do: Callable[[], Any]) -> None:
        waiting = [do]

        def do_once(**_: object) -> None:
            if waiting:
                waiting.pop()()

        def open_slow(name: str, region: str | None) -> GlueDatabase:
            glue = open_database(name, region)
            glue.client.meta.events.register(f"before-call.glue.{call}", do_once)
            return glue

        monkeypatch.setattr("al3spark.catalogs.catalog.open_database", open_slow)

    return arrange


def test_a_table_that_another_run_creates_meanwhile_gets_what_it_lacks(
    place: Place,
    glue: Any,
    database: str,
    table_of: Callable[..., dict[str, Any]],
    meanwhile: Callable[[str, Callable[[], Any]], None],
) -> None:
    put_table(place, DAY)
    columns = [{"Name": "job_id", "Type": "string"}]
    storage = {"Columns": columns, "Location": place.uri("policies/")}
    keys = [{"Name": "ingest_date", "Type": "date"}]
    table = {"Name": "policies", "PartitionKeys": keys, "StorageDescriptor": storage}
    meanwhile("CreateTable", lambda: glue.create_table(DatabaseName=database, TableInput=table))
    done = register_tables(place, database)
    assert (done["created"], done["updated"], done["partitions"]) == ([], ["policies"], 1)
    assert [name for name, _ in columns_of(table_of())] == POLICIES.names


def test_a_column_that_another_run_adds_meanwhile_stays(
    place: Place,
    glue: Any,
    database: str,
    table_of: Callable[..., dict[str, Any]],
    meanwhile: Callable[[str, Callable[[], Any]], None],
) -> None:
    put_table(place, DAY, schema=POLICIES.remove(20))
    register_tables(place, database)
    put_table(place, NEXT, job="j2")
    table = table_of()
    known = {name: table[name] for name in ("Name", "TableType", "Parameters", "PartitionKeys")}
    storage = table["StorageDescriptor"]
    wider = {**storage, "Columns": [*storage["Columns"], {"Name": "more", "Type": "int"}]}
    update = {**known, "StorageDescriptor": wider}
    meanwhile("GetPartitions", lambda: glue.update_table(DatabaseName=database, TableInput=update))
    register_tables(place, database)
    new = (POLICIES.field(20).name, type_name(POLICIES.field(20).type, "athena"))
    assert columns_of(table_of())[-2:] == [("more", "int"), new]


def test_a_file_that_goes_meanwhile_makes_it_look_again(
    place: Place, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_table(place, DAY, NEXT)
    list_files, times = catalog.list_data_files, []

    def list_and_lose(*asked: Any) -> list[DataFile]:
        times.append(1)
        found = list(list_files(*asked))
        if len(times) == 1:
            place.remove(f"policies/ingest_date={NEXT}/part-j1-000000-00000.parquet")
        return found

    monkeypatch.setattr(catalog, "list_data_files", list_and_lose)
    assert register_tables(place, database)["partitions"] == 1
    assert len(times) == 2


def test_a_damaged_file_is_told_as_such(place: Place, database: str) -> None:
    name = f"policies/ingest_date={DAY}/part-j1-000000-00000.parquet"
    place.write_document(name, b"no Parquet")
    assert refused(place, database, StoreError) == f"{place.uri(name)}: cannot be read as Parquet"


def test_files_without_comments_make_a_table_without_them(
    place: Place, database: str, table_of: Callable[..., dict[str, Any]]
) -> None:
    plain = pa.schema([field.remove_metadata() for field in POLICIES])
    put_table(place, DAY, schema=plain)
    register_tables(place, database)
    put_table(place, NEXT, job="j2")
    assert register_tables(place, database)["updated"] == ["policies"]
    assert table_of()["Description"] == comment_of(POLICIES)
    assert table_of()["StorageDescriptor"]["Columns"][0]["Comment"] == comment_of(POLICIES.field(0))


def test_folders_below_the_day_are_partition_keys_and_no_columns(
    place: Place, glue: Any, database: str, table_of: Callable[..., dict[str, Any]]
) -> None:
    below = f"ingest_date={DAY}/line_of_business=A%2FB/transaction_effective_year=2026"
    planned = plan_tables(load_dictionary(), ("line_of_business", "transaction_effective_year"))
    put_table(place, below, schema=planned.schemas["policies"])
    register_tables(place, database)
    assert [(key["Name"], key["Type"]) for key in table_of()["PartitionKeys"]] == [
        ("ingest_date", "date"),
        ("line_of_business", "string"),
        ("transaction_effective_year", "int"),
    ]
    assert "line_of_business" not in dict(columns_of(table_of()))
    (partition,) = partitions_of(glue, database)
    assert partition["Values"] == [DAY, "A/B", "2026"]
    assert partition["StorageDescriptor"]["Location"].endswith(f"{below}/")
    put_table(place, NEXT)
    assert refused(place, database) == (
        f"{place.uri('policies')}: has partitions by ingest_date and ingest_date, line_of_business, "
        "transaction_effective_year; a table in Glue has the same in all"
    )


def refused(place: Place, database: str, kind: type[Exception] = RequestError) -> str:
    with pytest.raises(kind) as caught:
        register_tables(place, database)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_changed_type_is_one_line_and_changes_nothing(
    place: Place, glue: Any, database: str, table_of: Callable[..., dict[str, Any]]
) -> None:
    put_table(place, DAY, schema=POLICIES.set(2, pa.field("record_offset", pa.string())))
    register_tables(place, database)
    before = table_of()
    place.remove(f"policies/ingest_date={DAY}/part-j1-000000-00000.parquet")
    put_table(place, NEXT)
    put_table(place, NEXT, table="files")
    assert refused(place, database) == (
        f"Glue table {database}.policies: column record_offset is string there, but bigint in the files; "
        "drop the table in Glue and register it again"
    )
    assert table_of() == before
    assert len(glue.get_tables(DatabaseName=database)["TableList"]) == 1


def test_files_of_different_types_are_one_line(place: Place, database: str) -> None:
    put_table(place, DAY, schema=POLICIES.set(2, pa.field("record_offset", pa.string())), job="j1")
    put_table(place, "2026-02-02", job="j2")
    told = refused(place, database, BatchError)
    assert told.startswith(f"{place.uri('policies')}/ingest_date={DAY}/part-j1")
    assert "column record_offset is string, but int64 in" in told


def test_a_table_of_another_destination_is_left_alone(
    place: Place, database: str, bucket: Bucket, moto: str
) -> None:
    put_table(place, DAY)
    register_tables(place, database)
    other = open_place(f"s3://{bucket.name}/other/", Access(endpoint_url=moto))
    put_table(other, DAY)
    assert refused(other, database) == (
        f"Glue table {database}.policies: is at {place.uri('policies')}, not at {other.uri('policies/')}; "
        "name another database"
    )


def test_what_aws_refuses_is_one_line(
    place: Place, glue: Any, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_table(place, DAY)
    told = refused(place, "no_such_database", StoreError)
    assert told.startswith(
        "Glue database no_such_database: An error occurred (EntityNotFoundException) when "
    )
    assert told.endswith("; `aws glue create-database --database-input Name=no_such_database` makes one")
    monkeypatch.setenv("AWS_ENDPOINT_URL_GLUE", "http://127.0.0.1:9")
    monkeypatch.setattr("al3spark.store.glue.ATTEMPTS", 1)
    assert refused(place, "x", StoreError).startswith(
        "Glue database x: Could not connect to the endpoint URL"
    )
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert refused(place, "x", StoreError) == (
        "Glue database x: no AWS region is known; AWS_REGION in the environment names it"
    )


def test_a_partition_that_glue_refuses_is_one_line(place: Place, glue: Any, database: str) -> None:
    put_table(place, DAY)
    register_tables(place, database)
    told = {"PartitionValues": [DAY], "ErrorDetail": {"ErrorCode": "InternalFailure", "ErrorMessage": "a\nb"}}
    known = open_database(database)
    known.client.meta.events.register(
        "after-call.glue.BatchCreatePartition", lambda parsed, **_: parsed.update(Errors=[told])
    )
    with pytest.raises(StoreError) as caught:
        known.add_partitions("policies", [{"Values": [NEXT]}])
    assert str(caught.value) == f"Glue table {database}.policies, partition {DAY}: InternalFailure: a b"


def test_tables_on_a_disk_are_none_for_glue(tmp_path: Path) -> None:
    told = f"{tmp_path}: Glue takes tables in S3 only"
    assert refused(open_place(str(tmp_path)), "x") == told
    put(tmp_path / "in", {"a.al3": al3(1)})
    asked = BatchRequest(Source(str(tmp_path / "in")), Destination(str(tmp_path)), Options(glue_database="x"))
    with pytest.raises(RequestError):
        prepare(asked)


def test_the_command_tells_what_was_registered(
    place: Place, glue: Any, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def told(*arguments: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        said = capsys.readouterr()
        assert ended.value.code == 0, said.err
        return said.out

    put_table(place, DAY)
    assert told("catalog", place.uri(""), "--glue", database) == (
        f"{database}: 1 tables, 1 created, 0 updated, 1 partitions added\n  policies\n"
    )
    put_table(place, NEXT)
    assert told("dictionary", "ddl", "--glue", database, "--location", place.uri("")) == (
        f"{database}: 1 tables, 0 created, 0 updated, 1 partitions added\n"
    )
    done = json.loads(told("catalog", place.uri(""), "--glue", database, "--json"))
    assert (done["tables"], done["partitions"]) == (1, 0)
    with pytest.raises(SystemExit) as ended:
        main(["dictionary", "ddl", "--glue", database])
    assert ended.value.code == 2
    assert "--glue takes all tables of a destination: name it by --location." in capsys.readouterr().err


@pytest.mark.spark
@pytest.mark.usefixtures("spark")
def test_a_batch_registers_what_it_wrote_and_ends_well_without_a_catalog(
    bucket: Bucket, glue: Any, database: str, tmp_path: Path
) -> None:
    put(tmp_path / "in", {"a.al3": al3(1)})
    access = S3Access(endpoint_url=bucket.url)
    steps: list[str] = []

    def ingest(name: str) -> dict[str, Any]:
        destination = Destination(f"s3://{bucket.name}/tables/", s3=access)
        options = Options(glue_database=name, min_age_s=0)
        prepared = prepare(BatchRequest(Source(str(tmp_path / "in")), destination, options))
        return run(prepared, lambda progress: steps.append(progress.step))

    first = ingest("no_such_database")
    assert (first["status"], first["tables"]["policies"]["rows"]) == ("completed", 1)
    assert steps[-1].startswith("glue_database: Glue database no_such_database: An error occurred")
    assert ingest(database)["summary"]["skipped"] == 1
    tables = {table["Name"] for table in glue.get_tables(DatabaseName=database)["TableList"]}
    assert tables == {*first["tables"]}
    assert len(partitions_of(glue, database, "policies")) == 1


@pytest.mark.spark
@pytest.mark.usefixtures("spark")
@pytest.mark.parametrize("is_lost", [False, True])
def test_a_batch_that_breaks_off_registers_what_it_published_while_it_had_the_lock(
    bucket: Bucket, glue: Any, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_lost: bool
) -> None:
    def fail(place: Place, root: str, lock: Lock, check: Callable[[], None]) -> None:
        if is_lost:
            acquire(place, "another", stale_after_s=0, heartbeat_s=0.05)
            lock.check()
        raise BatchError("no room for CSV files")

    monkeypatch.setattr("al3spark.batch.export_batch", fail)
    put(tmp_path / "in", {"a.al3": al3(1)})
    destination = Destination(
        f"s3://{bucket.name}/tables/", s3=S3Access(endpoint_url=bucket.url), format="csv"
    )
    options = Options(glue_database=database, min_age_s=0)
    prepared = prepare(BatchRequest(Source(str(tmp_path / "in")), destination, options))
    with pytest.raises(BatchError, match="was taken over by" if is_lost else "no room for CSV files"):
        run(prepared)
    assert bool(glue.get_tables(DatabaseName=database)["TableList"]) is not is_lost


def test_the_policy_allows_what_is_called_and_no_more(
    place: Place, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: set[str] = set()

    def open_noting(name: str, region: str | None) -> GlueDatabase:
        glue = open_database(name, region)
        glue.client.meta.events.register(
            "before-call.glue", lambda model, **_: called.add(f"glue:{model.name}")
        )
        return glue

    monkeypatch.setattr("al3spark.catalogs.catalog.open_database", open_noting)
    put_table(place, DAY, schema=POLICIES.remove(20))
    register_tables(place, database)
    put_table(place, NEXT, job="j2")
    register_tables(place, database)
    policy = json.loads((ROOT / "conf/emr/iam-policy-glue.json").read_text())
    assert called == {action for each in policy["Statement"] for action in each["Action"]}

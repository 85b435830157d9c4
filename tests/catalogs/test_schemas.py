"""Which columns are at a destination: of each table the few files that can differ."""

import pyarrow as pa
import pytest

from al3spark.al3.comments import comment_of
from al3spark.al3.dictionary import load_dictionary
from al3spark.al3.tables import table_schemas
from al3spark.catalogs.schemas import Planned, plan_tables, read_schemas
from al3spark.errors import StoreError
from al3spark.store.documents import write_manifest
from al3spark.store.files_table import FILES_SCHEMA
from al3spark.store.places import Place
from tests.tables import SCHEMA, put_parquet

DICTIONARY = load_dictionary()
WIDER = SCHEMA.append(pa.field("x", pa.string()))


def put(place: Place, job_id: str, day: str, schema: pa.Schema = SCHEMA, part: str = "00000") -> str:
    name = f"policies/ingest_date={day}/part-{job_id}-000000-{part}.parquet"
    put_parquet(place, name, schema.empty_table())
    return name


def test_a_run_can_write_the_tables_of_the_dictionary_and_files() -> None:
    planned = plan_tables(DICTIONARY)
    assert list(planned.schemas) == [*table_schemas(DICTIONARY.layouts), "files"]
    assert planned.schemas["files"] == FILES_SCHEMA
    assert all(schema.names[0] == "job_id" for schema in planned.schemas.values())
    folders = {tuple(field.name for field in fields) for fields in planned.folders.values()}
    assert folders == {("ingest_date",)}


def test_what_folders_stand_for_is_not_in_the_files() -> None:
    planned = plan_tables(DICTIONARY, ("line_of_business", "transaction_effective_year"))
    assert "line_of_business" not in planned.schemas["vehicles"].names
    assert planned.schemas["files"] == FILES_SCHEMA
    assert [(field.name, str(field.type)) for field in planned.folders["vehicles"]] == [
        ("ingest_date", "date32[day]"),
        ("line_of_business", "string"),
        ("transaction_effective_year", "int32"),
    ]
    assert [field.name for field in planned.folders["files"]] == ["ingest_date"]
    comments = [comment_of(field) for fields in planned.folders.values() for field in fields]
    assert all(comments)


def test_a_digest_depends_on_names_and_types_only() -> None:
    def digest(schema: pa.Schema, *folders: pa.Field) -> str:
        return Planned({"a": schema, "b": FILES_SCHEMA}, {"a": folders, "b": ()}).digest

    one = digest(FILES_SCHEMA)
    assert digest(pa.schema([field.remove_metadata() for field in FILES_SCHEMA])) == one
    assert digest(FILES_SCHEMA, pa.field("day", pa.date32())) != one
    assert digest(FILES_SCHEMA.append(pa.field("more", pa.string()))) != one
    assert digest(FILES_SCHEMA.set(2, pa.field("file_id", pa.int32()))) != one


def test_one_file_is_read_for_each_set_of_schemas_that_manifests_tell_apart(place: Place) -> None:
    for day, job, digest in (("02", "j1", "x"), ("03", "j2", "x"), ("04", "j3", "y")):
        write_manifest(place, job, {"versions": {"schemas": digest}})
        put(place, job, f"2026-01-{day}")
    (found,) = read_schemas(place).values()
    assert [file.job_id for file, _ in found] == ["j2", "j3"]


def test_files_of_jobs_without_a_manifest_are_told_apart_by_month(place: Place) -> None:
    newest = [put(place, "j1", day) for day in ("2026-01-02", "2026-01-30", "2026-02-01")][1:]
    assert [file.name for file, _ in read_schemas(place)["policies"]] == newest


def test_merged_files_of_one_month_and_job_are_told_apart_by_their_columns(place: Place) -> None:
    put(place, "j9", "2026-01-05", WIDER, "r00000")
    wider = put(place, "j9", "2026-01-06", WIDER, "r00001")
    narrow = [put(place, "j9", "2026-01-20", part=part) for part in ("r00002", "r00003")][1]
    assert [file.name for file, _ in read_schemas(place)["policies"]] == [wider, narrow]


def test_a_file_that_a_batch_rewrote_is_told_apart_from_its_own(place: Place) -> None:
    """It has the columns of an older job, not those in the manifest of the job in its name."""
    write_manifest(place, "j2", {"versions": {"schemas": "x"}})
    names = [put(place, "j2", "2026-01-05", WIDER, "r00000"), put(place, "j2", "2026-03-20")]
    assert [file.name for file, _ in read_schemas(place)["policies"]] == names


def test_files_in_other_folders_are_told_apart(place: Place) -> None:
    names = [
        put(place, "j1", day) for day in ("2026-01-02", "2026-01-02/line_of_business=HOME", "2026-01-03")
    ]
    assert [file.name for file, _ in read_schemas(place)["policies"]] == names[1:]


def test_what_is_no_parquet_is_one_line(place: Place) -> None:
    place.write_document("policies/ingest_date=2026-01-02/part-j1-000000-00000.parquet", b"no Parquet")
    with pytest.raises(StoreError, match=r"part-j1-000000-00000\.parquet: cannot be read as Parquet$"):
        read_schemas(place)

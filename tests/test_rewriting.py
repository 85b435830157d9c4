import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from al3spark.errors import BatchError, StoreError
from al3spark.rewriting import (
    CURRENT_FILES_SQL,
    Merge,
    Rewrite,
    compact,
    find_orphans,
    plan_compaction,
    rewrite_without,
    stage_merge,
)
from al3spark.store.ledger import FILES_SCHEMA, load_ledger
from al3spark.store.places import Place, open_place
from al3spark.store.publish import Plan, recover, run_plan, write_plan
from al3spark.store.staging import StagedFile

ROOT = Path(__file__).parent.parent
SCHEMA = pa.schema(
    [
        pa.field("job_id", pa.string(), nullable=False),
        pa.field("file_id", pa.string()),
        ("record_offset", pa.int64()),
        ("name", pa.string()),
    ]
)
DAY = "ingest_date=2026-01-02"
A, B, C, D = (letter * 32 for letter in "abcd")

Row = tuple[Any, ...]


def rows_of(*pairs: tuple[str, str | None], schema: pa.Schema = SCHEMA, each: int = 2) -> pa.Table:
    """`each` rows of each (job_id, file_id); values of further columns tell them apart."""
    rows = [(job_id, file_id, number) for job_id, file_id in pairs for number in range(each)]
    values = [
        {"job_id": job_id, "file_id": file_id, "record_offset": number, "name": f"{file_id}-{number}"}
        for job_id, file_id, number in rows
    ]
    return pa.Table.from_pylist(values, schema)


def ledger_of(job_id: str, *file_ids: str, status: str = "succeeded") -> pa.Table:
    rows = [
        {
            "job_id": job_id,
            "file_path": f"/in/{each}",
            "file_id": each,
            "status": status,
            "size": 1,
            "version": "1",
        }
        for each in file_ids
    ]
    return pa.Table.from_pylist(rows, FILES_SCHEMA)


def stage(place: Place, job_id: str, number: int, name: str, rows: pa.Table) -> StagedFile:
    with place.stage(name, job_id, number, 0) as file:
        with pq.ParquetWriter(file, rows.schema, compression="zstd") as parquet:
            parquet.write_table(rows)
        return file.finish()


def publish(
    place: Place, job_id: str, number: int, tables: Mapping[str, pa.Table], removals: Sequence[str] = ()
) -> Plan:
    """Publish one file for each folder `<table>/<partition>`, as a batch does."""
    staged = tuple(
        stage(place, job_id, number, f"{folder}/part-{job_id}-{number:06}-00000.parquet", rows)
        for folder, rows in tables.items()
    )
    plan = Plan(job_id, number, 1, staged, tuple(removals))
    write_plan(place, plan)
    assert run_plan(place, plan) == "published"
    return plan


def ingest(place: Place, job_id: str, *file_ids: str, number: int = 0) -> Plan:
    """A chunk with two tables, and its rows of `files`."""
    pairs = [(job_id, file_id) for file_id in file_ids]
    tables = {
        f"policies/{DAY}": rows_of(*pairs),
        f"vehicles/{DAY}": rows_of(*pairs, each=3),
        f"files/{DAY}": ledger_of(job_id, *file_ids),
    }
    return publish(place, job_id, number, tables)


def names(place: Place, prefix: str = "") -> list[str]:
    return [file.name for file in place.list_files() if file.name.startswith(prefix)]


def load(place: Place, name: str) -> pa.Table:
    with place.open_stream(name) as stream, pq.ParquetFile(stream) as parquet:
        return parquet.read()


def load_metadata(place: Place, name: str) -> pq.FileMetaData:
    with place.open_stream(name) as stream, pq.ParquetFile(stream) as parquet:
        return parquet.metadata


def size_of(place: Place, name: str) -> int:
    found = place.find(name)
    assert found
    return found.size


def read(place: Place, table: str) -> list[Row]:
    """All rows that are there, in the order of the files."""
    return [
        tuple(row.values()) for name in names(place, f"{table}/") for row in load(place, name).to_pylist()
    ]


def read_sorted(place: Place) -> dict[str, list[str]]:
    """All rows of all tables, as text in order: equal for equal sets of rows."""
    return {table: sorted(map(repr, read(place, table))) for table in ("policies", "vehicles", "files")}


def leftovers(place: Place) -> list[str]:
    return list(place.list_names("_al3spark/staging/"))


def compact_all(place: Place, job_id: str, table: str | None = None) -> list[str]:
    merges = plan_compaction(place, table)
    return [
        compact(place, job_id, number, 1, merge, lambda: None).final_name
        for number, merge in enumerate(merges)
    ]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return open_place(str(tmp_path))


# Choosing what to merge


def test_small_files_of_a_partition_are_merged_in_the_order_of_their_names(place: Place) -> None:
    ingest(place, "job-b", B)
    ingest(place, "job-a", A)
    inputs = (
        f"policies/{DAY}/part-job-a-000000-00000.parquet",
        f"policies/{DAY}/part-job-b-000000-00000.parquet",
    )
    size = sum(size_of(place, name) for name in inputs)
    assert plan_compaction(place, "policies") == (Merge("policies", DAY, inputs, size),)


def test_all_tables_are_compacted_and_files_too(place: Place) -> None:
    ingest(place, "job-a", A)
    ingest(place, "job-b", B)
    assert [merge.table for merge in plan_compaction(place)] == ["files", "policies", "vehicles"]


def test_partitions_are_never_merged_with_each_other(place: Place) -> None:
    publish(place, "job-a", 0, {f"policies/{DAY}": rows_of(("job-a", A))})
    publish(place, "job-b", 0, {"policies/ingest_date=2026-01-03": rows_of(("job-b", B))})
    assert plan_compaction(place) == ()


def test_fewer_files_than_asked_for_stay(place: Place) -> None:
    ingest(place, "job-a", A)
    ingest(place, "job-b", B)
    assert plan_compaction(place, least_files=3) == ()


def test_a_single_file_stays_whatever_is_asked_for(place: Place) -> None:
    ingest(place, "job-a", A)
    assert plan_compaction(place, least_files=1) == ()


def test_merges_stay_below_the_target_size_and_leave_large_files_alone(place: Place) -> None:
    for number in range(5):
        publish(place, f"job-{number}", 0, {f"policies/{DAY}": rows_of((f"job-{number}", A))})
    publish(place, "job-2", 1, {f"policies/{DAY}": rows_of(("job-2", B), each=2000)})
    small = size_of(place, f"policies/{DAY}/part-job-0-000000-00000.parquet")
    merges = plan_compaction(place, target_bytes=small * 5 // 2)
    assert [[Path(name).stem for name in merge.inputs] for merge in merges] == [
        ["part-job-0-000000-00000", "part-job-1-000000-00000"],
        ["part-job-2-000000-00000", "part-job-3-000000-00000"],
    ]


def test_names_that_are_not_of_this_project_are_not_merged(place: Place, tmp_path: Path) -> None:
    ingest(place, "job-a", A)
    pq.write_table(rows_of(("job-a", B)), tmp_path / "policies" / DAY / "mine.parquet")
    pq.write_table(rows_of(("job-a", B)), tmp_path / "policies" / DAY / "part-0.parquet")
    assert plan_compaction(place) == ()


def test_files_of_an_open_plan_are_not_merged(place: Place) -> None:
    ingest(place, "job-a", A)
    ingest(place, "job-b", B)
    staged = stage(
        place, "job-c", 0, f"policies/{DAY}/part-job-c-000000-00000.parquet", rows_of(("job-c", C))
    )
    removals = (f"policies/{DAY}/part-job-a-000000-00000.parquet",)
    write_plan(place, Plan("job-c", 0, 1, (staged,), removals))
    place.publish(staged)
    assert plan_compaction(place, "policies") == ()


def test_orphans_are_not_merged(place: Place, tmp_path: Path) -> None:
    ingest(place, "job-a", A)
    pq.write_table(rows_of(("job-b", B)), tmp_path / "policies" / DAY / "part-job-b-000000-00000.parquet")
    assert plan_compaction(place, "policies") == ()


def test_committed_files_are_merged_when_their_plans_are_cleaned_away(place: Place) -> None:
    ingest(place, "job-a", A)
    ingest(place, "job-b", B)
    forget_plans(place)
    assert len(plan_compaction(place)) == 3


# Merging


def test_compaction_keeps_all_rows_in_their_order(place: Place) -> None:
    ingest(place, "job-a", A, C)
    ingest(place, "job-b", B)
    before = {table: read(place, table) for table in ("policies", "vehicles", "files")}
    compact_all(place, "job-z")
    assert {table: read(place, table) for table in before} == before
    assert names(place) == [
        f"files/{DAY}/part-job-z-000000-r00000.parquet",
        f"policies/{DAY}/part-job-z-000001-r00000.parquet",
        f"vehicles/{DAY}/part-job-z-000002-r00000.parquet",
    ]
    assert leftovers(place) == []


def test_compaction_of_what_is_compact_does_nothing(place: Place) -> None:
    ingest(place, "job-a", A)
    ingest(place, "job-b", B)
    compact_all(place, "job-y")
    assert plan_compaction(place) == ()


def test_merged_file_is_merged_again_with_what_came_later(place: Place) -> None:
    for job_id in ("job-a", "job-b"):
        ingest(place, job_id, A)
    compact_all(place, "job-y", "policies")
    ingest(place, "job-c", C)
    before = sorted(read(place, "policies"))
    assert compact_all(place, "job-z", "policies") == [f"policies/{DAY}/part-job-z-000000-r00000.parquet"]
    assert sorted(read(place, "policies")) == before


def test_merged_file_has_the_schema_of_its_inputs(place: Place) -> None:
    ingest(place, "job-a", A)
    ingest(place, "job-b", B)
    for name in compact_all(place, "job-z"):
        expected = FILES_SCHEMA if name.startswith("files/") else SCHEMA
        assert load(place, name).schema.equals(expected, check_metadata=True)
        assert load_metadata(place, name).row_group(0).column(0).compression == "ZSTD"


def test_ledger_knows_after_compaction_what_it_knew_before(place: Place) -> None:
    ingest(place, "job-a", A)
    ingest(place, "job-b", B)
    compact_all(place, "job-z")
    assert load_ledger(place).paths_of([A, B, C]) == [f"/in/{A}", f"/in/{B}", None]


def test_columns_that_one_input_lacks_are_null_there(place: Place) -> None:
    older = pa.schema([*SCHEMA, pa.field("gone", pa.int64(), nullable=False)]).remove(3)
    newer = SCHEMA.append(pa.field("color", pa.string()))
    rows = [{"job_id": "job-a", "file_id": A, "record_offset": 0, "gone": 7}]
    publish(place, "job-a", 0, {f"policies/{DAY}": pa.Table.from_pylist(rows, older)})
    publish(place, "job-b", 0, {f"policies/{DAY}": rows_of(("job-b", B), schema=newer, each=1)})
    (name,) = compact_all(place, "job-z")
    merged = load(place, name)
    assert merged.schema.equals(newer.append(pa.field("gone", pa.int64())))
    assert merged.to_pylist() == [
        {"job_id": "job-a", "file_id": A, "record_offset": 0, "name": None, "color": None, "gone": 7},
        {"job_id": "job-b", "file_id": B, "record_offset": 0, "name": f"{B}-0", "color": None, "gone": None},
    ]


def test_changed_type_is_one_line_and_changes_nothing(place: Place) -> None:
    other = SCHEMA.set(2, pa.field("record_offset", pa.string()))
    publish(place, "job-a", 0, {f"policies/{DAY}": SCHEMA.empty_table()})
    publish(place, "job-b", 0, {f"policies/{DAY}": other.empty_table()})
    before = names(place)
    with pytest.raises(BatchError) as caught:
        compact_all(place, "job-z")
    folder = place.uri(f"policies/{DAY}")
    assert str(caught.value) == (
        f"{folder}/part-job-a-000000-00000.parquet: column record_offset is int64, but string in "
        f"{folder}/part-job-b-000000-00000.parquet; files of different types are not merged"
    )
    assert names(place) == before
    assert list(place.list_names("_al3spark/jobs/job-z/")) == []


def test_files_without_rows_are_merged_into_one_without_rows(place: Place) -> None:
    publish(place, "job-a", 0, {f"policies/{DAY}": SCHEMA.empty_table()})
    publish(place, "job-b", 0, {f"policies/{DAY}": SCHEMA.empty_table()})
    (name,) = compact_all(place, "job-z")
    assert load(place, name).equals(SCHEMA.empty_table())


def test_row_groups_gather_about_64_mib_of_arrow(place: Place) -> None:
    rows = rows_of(("job-a", A), each=1)
    many = pa.concat_tables([rows.set_column(3, SCHEMA.field(3), [pa.array(["x" * 1000])])]).take(
        [0] * 30_000
    )
    for number in range(3):
        publish(place, "job-a", number, {f"policies/{DAY}": many})
    (name,) = compact_all(place, "job-z")
    metadata = load_metadata(place, name)
    groups = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    assert len(groups) == 2
    assert 64 << 20 <= groups[0] * 1000 <= 96 << 20
    assert sum(groups) == 90_000


def test_damaged_input_is_one_line_that_names_it(place: Place, tmp_path: Path) -> None:
    name = f"policies/{DAY}/part-job-a-000000-00000.parquet"
    (tmp_path / "policies" / DAY).mkdir(parents=True)
    (tmp_path / name).write_bytes(b"PAR1 and no more")
    with pytest.raises(StoreError) as caught:
        stage_merge(place, "job-z", 0, Merge("policies", DAY, (name,), 16))
    assert str(caught.value) == f"{place.uri(name)}: cannot be read as Parquet"


def test_input_that_is_gone_is_one_line_that_names_it(place: Place) -> None:
    name = f"policies/{DAY}/part-job-a-000000-00000.parquet"
    with pytest.raises(StoreError, match=r"part-job-a-000000-00000\.parquet: No such file or directory$"):
        stage_merge(place, "job-z", 0, Merge("policies", DAY, (name,), 16))


def test_lost_lock_stops_a_compaction_before_its_plan(place: Place) -> None:
    ingest(place, "job-a", A)
    ingest(place, "job-b", B)
    before = names(place)

    def check() -> None:
        raise BatchError("job-z was taken over by job job-y and stops here")

    with pytest.raises(BatchError, match="taken over"):
        compact(place, "job-z", 0, 1, plan_compaction(place)[0], check)
    recover(place, keep="job-y")
    assert names(place) == before
    assert leftovers(place) == []


# Replacing


def apply(place: Place, job_id: str, rewrite: Rewrite, staged: tuple[StagedFile, ...] = ()) -> None:
    plan = Plan(job_id, 0, 1, (*rewrite.staged, *staged), rewrite.removals)
    write_plan(place, plan)
    assert run_plan(place, plan) == "published"


def test_rows_of_replaced_files_are_left_out_and_all_others_stay_as_they_are(place: Place) -> None:
    ingest(place, "job-a", A, B)
    ingest(place, "job-b", C)
    rewrite = rewrite_without(place, "job-z", 0, [("job-a", A)])
    assert [staged.final_name for staged in rewrite.staged] == [
        f"policies/{DAY}/part-job-z-000000-r00000.parquet",
        f"vehicles/{DAY}/part-job-z-000000-r00001.parquet",
    ]
    assert rewrite.rows == 5
    apply(place, "job-z", rewrite)
    assert read(place, "policies") == [
        ("job-b", C, 0, f"{C}-0"),
        ("job-b", C, 1, f"{C}-1"),
        ("job-a", B, 0, f"{B}-0"),
        ("job-a", B, 1, f"{B}-1"),
    ]
    assert len(read(place, "vehicles")) == 6
    assert len(read(place, "files")) == 3


def test_nothing_is_visible_before_the_plan_of_a_rewrite_is_run(place: Place) -> None:
    ingest(place, "job-a", A, B)
    before = names(place)
    rewrite_without(place, "job-z", 0, [("job-a", A)])
    assert names(place) == before


def test_file_that_would_be_empty_is_only_removed(place: Place) -> None:
    plan = ingest(place, "job-a", A, B)
    rewrite = rewrite_without(place, "job-z", 0, [("job-a", A), ("job-a", B)])
    assert rewrite == Rewrite((), tuple(staged.final_name for staged in plan.publish[:2]), 10)


def test_same_content_of_another_job_stays(place: Place) -> None:
    ingest(place, "job-a", A)
    ingest(place, "job-b", A)
    rewrite = rewrite_without(place, "job-z", 0, [("job-a", A)])
    assert [Path(name).stem for name in rewrite.removals] == ["part-job-a-000000-00000"] * 2
    assert rewrite.staged == ()


def test_same_content_of_another_job_stays_in_a_merged_file(place: Place) -> None:
    ingest(place, "job-a", A)
    ingest(place, "job-b", A)
    compact_all(place, "job-y")
    apply(place, "job-z", rewrite_without(place, "job-z", 0, [("job-a", A)]))
    assert [row[:2] for row in read(place, "policies")] == [("job-b", A), ("job-b", A)]


def test_pairs_that_are_nowhere_change_nothing(place: Place) -> None:
    ingest(place, "job-a", B)
    pairs = [("job-a", A), ("job-a", C), ("job-b", B), ("job-c", D)]
    assert rewrite_without(place, "job-z", 0, pairs) == Rewrite((), (), 0)


def test_no_pairs_change_nothing(place: Place) -> None:
    ingest(place, "job-a", B)
    assert rewrite_without(place, "job-z", 0, []) == Rewrite((), (), 0)


def test_rows_are_found_in_merged_files(place: Place) -> None:
    ingest(place, "job-a", A)
    ingest(place, "job-b", B)
    compact_all(place, "job-y")
    rewrite = rewrite_without(place, "job-z", 0, [("job-a", A)])
    apply(place, "job-z", rewrite)
    assert {row[:2] for table in ("policies", "vehicles") for row in read(place, table)} == {("job-b", B)}


def test_only_the_tables_and_partitions_that_are_named_are_rewritten(place: Place) -> None:
    for number, date in enumerate(("2026-01-02", "2026-01-03")):
        tables = {f"{table}/ingest_date={date}": rows_of(("job-a", A)) for table in ("policies", "vehicles")}
        publish(place, "job-a", number, tables)
    rewrite = rewrite_without(place, "job-z", 0, [("job-a", A)], {"policies"}, {"2026-01-03"})
    assert rewrite.removals == ("policies/ingest_date=2026-01-03/part-job-a-000001-00000.parquet",)


def test_rows_without_a_file_id_stay(place: Place) -> None:
    publish(place, "job-a", 0, {f"errors/{DAY}": rows_of(("job-a", None), ("job-a", A))})
    apply(place, "job-z", rewrite_without(place, "job-z", 0, [("job-a", A)]))
    assert [row[:3] for row in read(place, "errors")] == [("job-a", None, 0), ("job-a", None, 1)]


def test_rows_in_the_middle_of_several_row_groups_are_left_out(place: Place) -> None:
    name = f"policies/{DAY}/part-job-a-000000-00000.parquet"
    with place.stage(name, "job-a", 0, 0) as file:
        with pq.ParquetWriter(file, SCHEMA) as parquet:
            for pairs in ([("job-a", A)], [("job-a", A), ("job-a", C), ("job-a", D)], [("job-a", D)]):
                parquet.write_table(rows_of(*pairs, each=20_000))
        place.publish(file.finish())
    rewrite = rewrite_without(place, "job-z", 0, [("job-a", C), ("job-a", B)])
    apply(place, "job-z", rewrite)
    kept = load(place, rewrite.staged[0].final_name)
    assert (rewrite.rows, kept.num_rows) == (20_000, 80_000)
    assert kept["file_id"].unique().to_pylist() == [A, D]


# Orphans


def forget_plans(place: Place) -> None:
    """As cleaning does with jobs of long ago."""
    for name in list(place.list_names("_al3spark/jobs/")):
        place.remove(name)


def add_orphan(place: Place, job_id: str, rows: pa.Table, table: str = "policies") -> str:
    """A file that is visible although no plan published it."""
    name = f"{table}/{DAY}/part-{job_id}-000007-00000.parquet"
    assert place.publish(stage(place, job_id, 7, name, rows))
    return name


def test_published_files_are_no_orphans(place: Place) -> None:
    ingest(place, "job-a", A)
    ingest(place, "job-b", B)
    compact_all(place, "job-z")
    assert find_orphans(place) == ()


def test_published_files_are_no_orphans_when_their_plans_are_cleaned_away(place: Place) -> None:
    ingest(place, "job-a", A)
    ingest(place, "job-b", B)
    ingest(place, "job-c", C)
    compact_all(place, "job-z")
    ingest(place, "job-d", D)
    forget_plans(place)
    assert find_orphans(place) == ()


def test_file_whose_rows_are_not_in_the_ledger_is_an_orphan(place: Place) -> None:
    ingest(place, "job-a", A)
    forget_plans(place)
    orphans = (
        add_orphan(place, "job-a", rows_of(("job-a", B))),
        add_orphan(place, "job-b", rows_of(("job-b", A))),
    )
    assert find_orphans(place) == orphans


def test_rows_of_a_file_that_failed_are_orphans(place: Place) -> None:
    publish(place, "job-a", 0, {f"files/{DAY}": ledger_of("job-a", A)})
    publish(place, "job-a", 1, {f"files/{DAY}": ledger_of("job-a", B, status="failed")})
    forget_plans(place)
    assert find_orphans(place) == ()
    name = add_orphan(place, "job-a", rows_of(("job-a", B)))
    assert find_orphans(place) == (name,)


def test_one_committed_row_keeps_a_file(place: Place) -> None:
    ingest(place, "job-a", A)
    add_orphan(place, "job-a", rows_of(("job-a", B), ("job-a", C), ("job-a", A)))
    assert find_orphans(place) == ()


def test_rows_with_faults_are_committed(place: Place) -> None:
    ingest(place, "job-b", B)
    publish(place, "job-a", 0, {f"files/{DAY}": ledger_of("job-a", A, status="succeeded_with_faults")})
    add_orphan(place, "job-a", rows_of(("job-a", A)))
    assert find_orphans(place) == ()


def test_errors_of_a_job_in_the_ledger_stay_whatever_became_of_its_files(place: Place) -> None:
    ingest(place, "job-a", A)
    publish(place, "job-b", 0, {f"files/{DAY}": ledger_of("job-b", B, status="failed")})
    add_orphan(place, "job-b", rows_of(("job-b", None)), "errors")
    orphan = add_orphan(place, "job-c", rows_of(("job-c", None)), "errors")
    assert find_orphans(place) == (orphan,)


def test_files_of_an_open_plan_are_no_orphans(place: Place) -> None:
    ingest(place, "job-a", A)
    name = f"policies/{DAY}/part-job-b-000000-00000.parquet"
    plan = Plan("job-b", 0, 1, (stage(place, "job-b", 0, name, rows_of(("job-b", B))),))
    write_plan(place, plan)
    place.publish(plan.publish[0])
    assert find_orphans(place) == ()


def test_what_a_rolled_back_plan_left_is_an_orphan_even_if_its_rows_came_later(place: Place) -> None:
    name = f"policies/{DAY}/part-job-a-000000-00000.parquet"
    lost = Plan("job-a", 0, 1, (stage(place, "job-a", 0, name, rows_of(("job-a", A))),))
    write_plan(place, lost)
    place.discard(lost.publish[0])
    assert run_plan(place, lost) == "rolled_back"
    ingest(place, "job-a", A, number=1)
    place.publish(stage(place, "job-a", 0, name, rows_of(("job-a", A))))
    assert find_orphans(place) == (name,)


def test_what_a_published_plan_removed_is_an_orphan_when_it_is_back(place: Place) -> None:
    ingest(place, "job-a", A)
    ingest(place, "job-b", B)
    compact_all(place, "job-z")
    name = f"files/{DAY}/part-job-a-000000-00000.parquet"
    place.publish(stage(place, "job-a", 0, name, ledger_of("job-a", A)))
    assert find_orphans(place) == (name,)


def test_nothing_is_an_orphan_where_the_ledger_is_lost(place: Place) -> None:
    ingest(place, "job-a", A)
    ingest(place, "job-b", B)
    forget_plans(place)
    for name in names(place, "files/"):
        place.remove(name)
    assert find_orphans(place) == ()


def test_files_that_are_not_of_this_project_are_no_orphans(place: Place, tmp_path: Path) -> None:
    ingest(place, "job-a", A)
    pq.write_table(rows_of(("job-b", B)), tmp_path / "policies" / DAY / "mine.parquet")
    (tmp_path / "policies" / "part-job-b-000000-00000.parquet").write_bytes(b"not in a partition")
    assert find_orphans(place) == ()


# Kills

# A process that knows Arrow but has no threads yet: its forks are cheap, and sound.
FORKER = """
import os, signal, sys
from al3spark.rewriting import compact, plan_compaction, rewrite_without
from al3spark.store.places import open_place
from al3spark.store.publish import Plan, run_plan, write_plan

CHANGES = {"os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir"}
left = 0

def count(event, args):
    global left
    if event in CHANGES or (event == "open" and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)):
        left -= 1
        if left == -1:
            os.kill(os.getpid(), signal.SIGKILL)

def merge(place):
    compact(place, "job-y", 0, 1, plan_compaction(place)[0], lambda: None)

def replace(place):
    rewrite = rewrite_without(place, "job-y", 0, [("job-a", "a" * 32)])
    plan = Plan("job-y", 0, 1, rewrite.staged, rewrite.removals)
    write_plan(place, plan)
    assert run_plan(place, plan) == "published"

for line in sys.stdin:
    action, step, root = line.rstrip("\\n").split(" ", 2)
    pid = os.fork()
    if pid == 0:
        left = int(step)
        sys.addaudithook(count)
        {"merge": merge, "replace": replace}[action](open_place(root))
        os._exit(0)
    status = os.waitpid(pid, 0)[1]
    print({0: "finished", signal.SIGKILL: "killed"}.get(status, status), flush=True)
"""

Kill = Callable[[str, int, Path], str]


@pytest.fixture(scope="module")
def kill() -> Iterator[Kill]:
    """kill(action, step, root): run an action in a process that is killed before that change of the disk."""
    command = [sys.executable, "-c", FORKER]
    with subprocess.Popen(
        command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as forker:
        assert forker.stdin
        assert forker.stdout
        questions, answers = forker.stdin, forker.stdout

        def ask(action: str, step: int, root: Path) -> str:
            questions.write(f"{action} {step} {root}\n")
            questions.flush()
            return answers.readline().rstrip()

        yield ask


MERGE_STEPS = range(17)  # changes of the disk in `merge`
REPLACE_STEPS = range(19)  # and in `replace`


@pytest.mark.parametrize(("action", "steps"), [("merge", MERGE_STEPS), ("replace", REPLACE_STEPS)])
def test_matrix_of_kills_has_every_step(
    place: Place, tmp_path: Path, kill: Kill, action: str, steps: range
) -> None:
    ingest(place, "job-a", A, B)
    ingest(place, "job-b", C)
    assert kill(action, len(steps), tmp_path) == "finished"


@pytest.mark.parametrize("table", ["policies", "files"])
@pytest.mark.parametrize("step", MERGE_STEPS)
def test_compaction_killed_at_any_step_loses_and_doubles_nothing(
    place: Place, tmp_path: Path, kill: Kill, table: str, step: int
) -> None:
    for job_id, file_id in (("job-a", A), ("job-b", B)):
        publish(place, job_id, 0, {f"{table}/{DAY}": ledger_of(job_id, file_id)})
    inputs, before = names(place), sorted(map(repr, read(place, table)))
    assert kill("merge", step, tmp_path) == "killed"
    assert {*map(repr, read(place, table))} == {*before}  # a reader never misses a row
    recover(place, keep="job-z")
    assert names(place) in (inputs, [f"{table}/{DAY}/part-job-y-000000-r00000.parquet"])
    assert sorted(map(repr, read(place, table))) == before
    assert (leftovers(place), find_orphans(place)) == ([], ())
    compact_all(place, "job-z")
    assert len(names(place)) == 1
    assert sorted(map(repr, read(place, table))) == before


@pytest.mark.parametrize("step", REPLACE_STEPS)
def test_replacement_killed_at_any_step_is_there_or_not_there(
    place: Place, tmp_path: Path, kill: Kill, step: int
) -> None:
    ingest(place, "job-a", A, B)
    ingest(place, "job-b", C)
    before = read_sorted(place)
    kept = {
        table: [row for row in rows if table == "files" or A not in row] for table, rows in before.items()
    }
    assert kill("replace", step, tmp_path) == "killed"
    assert all({*kept[table]} <= {*rows} for table, rows in read_sorted(place).items())
    planned = place.find("_al3spark/jobs/job-y/plan-000000.json") is not None
    recover(place, keep="job-z")
    assert read_sorted(place) == (kept if planned else before)
    assert leftovers(place) == []


# The rule for queries


def fact(
    at: int, job_id: str, path: str, file_id: str | None, status: str = "succeeded", **more: str
) -> dict[str, object]:
    """A row of `files` that was finished at a second."""
    finished = datetime(2026, 1, 2, 0, 0, at, tzinfo=UTC)
    return {
        "job_id": job_id,
        "file_path": path,
        "file_id": file_id,
        "status": status,
        "finished_at": finished,
        **more,
    }


# What is in `files`, and the (job_id, file_id, file_path) that are current. Every case has paths and contents
# of its own, so that all can be in one table.
CASES: dict[str, tuple[list[dict[str, object]], set[tuple[str, str, str]]]] = {
    "files that succeeded are current": (
        [fact(1, "j1", "a/x", "a1"), fact(1, "j1", "a/y", "a2", "succeeded_with_faults")],
        {("j1", "a1", "a/x"), ("j1", "a2", "a/y")},
    ),
    "failed and skipped files are not": (
        [fact(1, "j1", "b/x", "b1", "failed"), fact(1, "j1", "b/y.zip", None, "skipped", reason="archive")],
        set(),
    ),
    "the newest version of a path is current, whatever the order of rows": (
        [fact(2, "j2", "c/x", "c2"), fact(3, "j3", "c/x", "c3"), fact(1, "j1", "c/x", "c1")],
        {("j3", "c3", "c/x")},
    ),
    "a version that failed leaves the one before it current": (
        [
            fact(1, "j1", "d/x", "d1"),
            fact(2, "j2", "d/x", "d2", "failed"),
            fact(3, "j3", "d/x", None, "failed"),
        ],
        {("j1", "d1", "d/x")},
    ),
    "a duplicate adds nothing": (
        [fact(1, "j1", "e/x", "e1"), fact(2, "j2", "e/y", "e1", "skipped", duplicate_of="e/x")],
        {("j1", "e1", "e/x")},
    ),
    "a content stays current while another path holds it": (
        [
            fact(1, "j1", "f/x", "f1"),
            fact(2, "j2", "f/y", "f1", "skipped", duplicate_of="f/x"),
            fact(3, "j3", "f/x", "f2"),
        ],
        {("j1", "f1", "f/x"), ("j3", "f2", "f/x")},
    ),
    "a path whose content became that of another path has no current version of its own": (
        [
            fact(1, "j1", "g/x", "g1"),
            fact(1, "j1", "g/y", "g2"),
            fact(2, "j2", "g/x", "g2", "skipped", duplicate_of="g/y"),
        ],
        {("j1", "g2", "g/y")},
    ),
    "a path that went back to its first content has that as current": (
        [
            fact(1, "j1", "h/x", "h1"),
            fact(2, "j2", "h/x", "h2"),
            fact(3, "j3", "h/x", "h1", "skipped", duplicate_of="h/x"),
        ],
        {("j1", "h1", "h/x")},
    ),
    "a version that was replaced is not current, even if another path holds it": (
        [
            fact(1, "j1", "i/x", "i1"),
            fact(2, "j2", "i/y", "i1", "skipped", duplicate_of="i/x"),
            fact(3, "j3", "i/x", "i2", replaces="i1"),
        ],
        {("j3", "i2", "i/x")},
    ),
    "a file that was processed again is current in the later job only": (
        [fact(1, "j1", "k/x", "k1"), fact(2, "j2", "k/x", "k1", replaces="k1")],
        {("j2", "k1", "k/x")},
    ),
    "a content that came back after it was replaced is current again": (
        [
            fact(1, "j1", "l/x", "l1"),
            fact(2, "j2", "l/x", "l2", replaces="l1"),
            fact(3, "j3", "l/x", "l1", replaces="l2"),
        ],
        {("j3", "l1", "l/x")},
    ),
    "a file that failed when it was processed again is gone": (
        [fact(1, "j1", "m/x", "m1"), fact(2, "j2", "m/x", None, "failed", replaces="m1")],
        set(),
    ),
    "a content that two jobs ingested is current once": (
        [fact(1, "j1", "n/x", "n1"), fact(2, "j2", "n/y", "n1")],
        {("j2", "n1", "n/y")},
    ),
    "rows that a compaction shows twice count once": (
        [fact(1, "j1", "o/x", "o1"), fact(1, "j1", "o/x", "o1"), fact(1, "j1", "o/y", "o2")],
        {("j1", "o1", "o/x"), ("j1", "o2", "o/y")},
    ),
}


@pytest.fixture
def query() -> Callable[[Path, str], list[Row]]:
    """query(parquet file of `files`, what to select from `current_files`), by DuckDB."""
    duckdb = pytest.importorskip("duckdb")

    def run(path: Path, what: str) -> list[Row]:
        with duckdb.connect() as session:
            session.execute(
                f"CREATE VIEW files AS SELECT * FROM read_parquet('{path}', hive_partitioning = true)"
            )
            session.execute(f"CREATE VIEW current_files AS {CURRENT_FILES_SQL}")
            return list(session.execute(f"SELECT {what} FROM current_files").fetchall())

    return run


@pytest.mark.parametrize(("facts", "expected"), CASES.values(), ids=CASES.keys())
def test_current_files_by_duckdb(
    tmp_path: Path,
    query: Callable[[Path, str], list[Row]],
    facts: list[dict[str, object]],
    expected: set[tuple[str, str, str]],
) -> None:
    (tmp_path / DAY).mkdir()
    pq.write_table(pa.Table.from_pylist(facts, FILES_SCHEMA), tmp_path / DAY / "part.parquet")
    found = query(tmp_path / DAY / "part.parquet", "job_id, file_id, file_path")
    assert sorted(found) == sorted(expected)


def test_current_files_know_where_a_source_was_moved(
    tmp_path: Path, query: Callable[[Path, str], list[Row]]
) -> None:
    facts = [fact(1, "j1", "x", "1", archived_to="done/x"), fact(1, "j1", "x", "1")]
    for number, rows in enumerate((facts, facts[::-1])):
        pq.write_table(pa.Table.from_pylist(rows, FILES_SCHEMA), tmp_path / f"{number}.parquet")
        assert query(tmp_path / f"{number}.parquet", "archived_to") == [("done/x",)]


@pytest.mark.spark
def test_current_files_by_spark(tmp_path: Path, spark: Any) -> None:
    facts = [fact for facts, _ in CASES.values() for fact in facts]
    (tmp_path / "files" / DAY).mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(facts, FILES_SCHEMA), tmp_path / "files" / DAY / "part.parquet")
    spark.read.parquet(str(tmp_path / "files")).createOrReplaceTempView("files")
    found = spark.sql(CURRENT_FILES_SQL)
    assert found.columns == FILES_SCHEMA.names
    assert {(row["job_id"], row["file_id"], row["file_path"]) for row in found.collect()} == {
        pair for _, expected in CASES.values() for pair in expected
    }
    assert found.count() == sum(len(expected) for _, expected in CASES.values())
    spark.catalog.dropTempView("files")

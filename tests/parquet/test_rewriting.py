import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from al3spark.errors import BatchError, StoreError
from al3spark.parquet.orphans import find_orphans
from al3spark.parquet.rewriting import (
    Merge,
    Rewrite,
    compact,
    plan_compaction,
    rewrite_without,
    stage_merge,
)
from al3spark.store.files_table import FILES_SCHEMA
from al3spark.store.ledger import load_ledger
from al3spark.store.places import Place
from al3spark.store.publish import Plan, recover, run_plan, write_plan
from al3spark.store.staging import StagedFile
from al3spark.store.tablefiles import SPARK_SCHEMA
from tests.tables import (
    DAY,
    ROOT,
    SCHEMA,
    A,
    B,
    C,
    D,
    compact_all,
    forget_plans,
    ingest,
    ledger_of,
    leftovers,
    load,
    load_metadata,
    names,
    publish,
    put_parquet,
    read,
    read_sorted,
    rows_of,
    size_of,
    stage,
)

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


def test_names_that_are_not_of_this_project_are_not_merged(place: Place) -> None:
    ingest(place, "job-a", A)
    put_parquet(place, f"policies/{DAY}/mine.parquet", rows_of(("job-a", B)))
    put_parquet(place, f"policies/{DAY}/part-0.parquet", rows_of(("job-a", B)))
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


def test_orphans_are_not_merged(place: Place) -> None:
    ingest(place, "job-a", A)
    put_parquet(place, f"policies/{DAY}/part-job-b-000000-00000.parquet", rows_of(("job-b", B)))
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
        found = load(place, name).schema
        assert set(found.metadata or {}) - set(expected.metadata or {}) <= {SPARK_SCHEMA.encode()}
        assert found.with_metadata(expected.metadata).equals(expected, check_metadata=True)
        assert load_metadata(place, name).row_group(0).column(0).compression == "ZSTD"


def test_comments_of_the_newest_file_that_has_them_are_kept(place: Place) -> None:
    """Files of before have none, and files whose dictionaries differ have others: neither is an obstacle."""
    schemas = [
        SCHEMA.set(3, pa.field("name", pa.string(), metadata=comment)).with_metadata(told)
        for comment, told in (
            ({"comment": "old"}, {"comment": "Old"}),
            ({"comment": "new"}, {"comment": "New"}),
            (None, None),
        )
    ]
    for job, schema in zip("abc", schemas, strict=True):
        publish(place, f"job-{job}", 0, {f"policies/{DAY}": rows_of((f"job-{job}", A), schema=schema)})
    publish(place, "job-c", 1, {f"files/{DAY}": ledger_of("job-c", A)})
    (name,) = compact_all(place, "job-z", "policies")
    merged = load(place, name).schema
    assert merged.field("name").metadata == {b"comment": b"new"}
    assert (merged.metadata or {})[b"comment"] == b"New"
    assert b'"metadata":{"comment":"new"}' in (merged.metadata or {})[SPARK_SCHEMA.encode()]
    rewrite = rewrite_without(place, "job-y", 0, [("job-b", A)])
    apply(place, "job-y", rewrite)
    (name,) = names(place, "policies/")
    assert load(place, name).schema.equals(merged, check_metadata=True)


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


def test_damaged_input_is_one_line_that_names_it(place: Place) -> None:
    name = f"policies/{DAY}/part-job-a-000000-00000.parquet"
    place.write_document(name, b"PAR1 and no more")
    with pytest.raises(StoreError) as caught:
        stage_merge(place, "job-z", 0, Merge("policies", DAY, (name,), 16))
    assert str(caught.value) == f"{place.uri(name)}: cannot be read as Parquet"


def test_input_that_is_gone_is_one_line_that_names_it(place: Place) -> None:
    name = f"policies/{DAY}/part-job-a-000000-00000.parquet"
    with pytest.raises(StoreError, match=r"-00000\.parquet: (No such file or directory|no such object)$"):
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


# Kills

# A process that knows Arrow but has no threads yet: its forks are cheap, and sound.
FORKER = """
import os, signal, sys
from al3spark.parquet.rewriting import compact, plan_compaction, rewrite_without
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


@pytest.mark.parametrize("kind", ["disk"])
@pytest.mark.parametrize(("action", "steps"), [("merge", MERGE_STEPS), ("replace", REPLACE_STEPS)])
def test_matrix_of_kills_has_every_step(
    place: Place, tmp_path: Path, kill: Kill, action: str, steps: range
) -> None:
    ingest(place, "job-a", A, B)
    ingest(place, "job-b", C)
    assert kill(action, len(steps), tmp_path) == "finished"


@pytest.mark.parametrize("kind", ["disk"])
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


@pytest.mark.parametrize("kind", ["disk"])
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

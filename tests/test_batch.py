"""Whole batches: what is read, what is published, and what stays when one goes wrong or is killed."""

import ctypes
import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from al3spark.al3.blocks import pack, plain_rows, unpack
from al3spark.al3.building import Separator, squeeze, transcode
from al3spark.errors import BatchError, StoreError
from al3spark.preparing import prepare, preview
from al3spark.sampling import write_sample
from al3spark.spark import pipeline
from al3spark.spark.tasks import TOTALS, Batches, Task
from al3spark.store.documents import list_jobs, read_manifest, read_status
from al3spark.store.places import open_place
from tests.al3.samples import zipped
from tests.batches import (
    ROOT,
    al3,
    al3spark,
    faults,
    ingest,
    parquet_files,
    published_files,
    put,
    read_rows,
    read_tables,
    ready,
    staged_files,
    statuses,
)

pytestmark = [pytest.mark.spark, pytest.mark.usefixtures("spark")]  # all batches here run in the one session

CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, PR_CAPBSET_DROP = 1, 2, 24


# A folder with everything that comes by (issue: all forms, all kinds of broken files)


def obey_permissions() -> None:
    """Let root be refused like anybody else: what is run next lacks the right to override permissions."""
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
        if os.geteuid() == 0 and libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = {
        "plain.al3": al3(0, 1),
        "crlf.dat": al3(10, 11, separator=Separator.CRLF),
        "inside.al3": al3(20, 21, separator=Separator.CRLF_INSIDE),
        "squeezed_fa": squeeze(al3(30, 31)),
        "squeezed_b3": squeeze(al3(40, 41), b"\xb3"),
        "squeezed_utf8": transcode(squeeze(al3(50, 51))),
        "packed.al3.gz": gzip.compress(al3(60)),
        "outer.zip": zipped({"top.al3": al3(70), "inner.zip": zipped({"deep.al3": al3(71)})}),
        "several.al3": al3(80) + al3(81, 82),
        "empty.al3": b"",
        "notes.txt": b"Dear all,\nplease find the download attached.\n",
        "truncated.al3": al3(90)[:-60],
        "garbage.al3": al3(92) + b"\x80 no record \x82" * 9 + al3(93),
        "locked.al3": al3(94),
    }
    made = put(tmp_path_factory.mktemp("folder") / "in", files)
    (made / "locked.al3").chmod(0)
    return made


@pytest.fixture(scope="module")
def folder_run(folder: Path) -> subprocess.CompletedProcess[str]:
    """The command over the folder, with one core, as somebody whom permissions bind."""
    destination = folder.parent / "out"
    return al3spark(
        "ingest",
        folder,
        destination,
        "--json",
        "--master",
        "local[1]",
        "--min-age-s",
        0,
        preexec_fn=obey_permissions,
    )


@pytest.fixture
def folder_out(folder: Path, folder_run: subprocess.CompletedProcess[str]) -> Path:
    assert folder_run.returncode == 0, folder_run.stderr
    return folder.parent / "out"


def test_every_file_of_a_mixed_folder_ends_as_it_should(folder: Path, folder_out: Path) -> None:
    assert statuses(folder_out, folder) == {
        "crlf.dat": "succeeded",
        "empty.al3": "failed",
        "garbage.al3": "succeeded_with_faults",
        "inside.al3": "succeeded",
        "locked.al3": "failed",
        "notes.txt": "failed",
        "outer.zip": "skipped",
        "outer.zip!inner.zip!deep.al3": "succeeded",
        "outer.zip!top.al3": "succeeded",
        "packed.al3.gz": "succeeded",
        "plain.al3": "succeeded",
        "several.al3": "succeeded",
        "squeezed_b3": "succeeded",
        "squeezed_fa": "succeeded",
        "squeezed_utf8": "succeeded",
        "truncated.al3": "succeeded_with_faults",
    }


def test_every_fault_of_a_mixed_folder_is_a_row_with_its_place(folder: Path, folder_out: Path) -> None:
    columns = ("file_path", "severity", "code", "group_code", "record_offset", "byte_offset", "byte_length")
    found = sorted(read_rows(folder_out, "errors", *columns), key=str)
    assert [(row[0].removeprefix(f"{folder}/"), *row[1:]) for row in found] == [
        ("empty.al3", "error", "FILE_EMPTY", None, None, None, None),
        ("garbage.al3", "error", "BYTES_UNREADABLE", None, None, 1837, 117),
        ("locked.al3", "error", "FILE_UNREADABLE", None, None, None, None),
        ("notes.txt", "error", "FILE_NOT_AL3", None, None, None, None),
        ("truncated.al3", "error", "RECORD_TRUNCATED", "6CVA", 1604, 1604, 173),
        ("truncated.al3", "warning", "TRAILER_MISSING", "1MHG", 0, None, None),
    ]


def test_every_policy_of_a_mixed_folder_arrives_whatever_the_form_of_its_file(
    folder: Path, folder_out: Path
) -> None:
    numbers = [0, 1, 10, 11, 20, 21, 30, 31, 40, 41, 50, 51, 60, 70, 71, 80, 81, 82, 90, 92, 93]
    found = read_rows(folder_out, "policies", "policy_number")
    assert sorted(number for (number,) in found) == [f"P{number:07}" for number in numbers]


def test_the_bytes_of_every_file_are_stored_and_add_up(folder: Path, folder_out: Path) -> None:
    columns = ("size", "expanded_size", "record_bytes", "separator_bytes", "unreadable_bytes", "records")
    rows = read_rows(folder_out, "files", "file_path", "status", *columns)
    stored = {path.removeprefix(f"{folder}/"): row for path, status, *row in rows if status != "skipped"}
    assert {name: row[1] - sum(row[2:5]) for name, row in stored.items()} == dict.fromkeys(stored, 0)
    assert stored["crlf.dat"] == [3529, 3529, 3493, 36, 0, 18]
    assert stored["inside.al3"] == [3529, 3529, 3529, 0, 0, 18]
    assert stored["squeezed_fa"][1:] == [3493, 3493, 0, 0, 18]
    assert stored["packed.al3.gz"][1:] == [1837, 1837, 0, 0, 10]
    assert stored["garbage.al3"] == [3791, 3791, 3674, 0, 117, 20]
    assert stored["notes.txt"] == [45, 45, 0, 0, 45, 0]
    assert stored["truncated.al3"] == [1777, 1777, 1777, 0, 0, 9]
    assert stored["locked.al3"] == [1837, 0, 0, 0, 0, 0]


def test_the_manifest_of_a_mixed_folder_counts_it(
    folder_out: Path, folder_run: subprocess.CompletedProcess[str]
) -> None:
    manifest = json.loads(folder_run.stdout)
    assert manifest == json.loads((folder_out / "_manifest.json").read_text())
    assert manifest["status"] == "partial_success"
    counts = ("total", "processed", "succeeded", "succeeded_with_faults", "failed", "skipped")
    assert [manifest["summary"][name] for name in counts] == [15, 15, 12, 2, 3, 0]
    assert manifest["tables"]["policies"]["rows"] == 21
    assert manifest["faults"] == {
        "file": {"FILE_EMPTY": 1, "FILE_NOT_AL3": 1, "FILE_UNREADABLE": 1},
        "hierarchy": {"TRAILER_MISSING": 1},
        "structure": {"BYTES_UNREADABLE": 1, "RECORD_TRUNCATED": 1},
    }


def test_one_core_gives_the_tables_of_two(folder: Path, folder_out: Path, destination: Path) -> None:
    alone = read_tables(folder_out)
    for table in ("errors", "files"):
        alone[table] = [row for row in alone[table] if f"{folder}/locked.al3" not in row]
    ingest(folder, destination, pattern="[!l]*")
    assert read_tables(destination) == alone


def test_a_file_that_was_locked_is_read_when_failed_files_are_asked_for(
    folder: Path, folder_out: Path, tmp_path: Path
) -> None:
    destination = shutil.copytree(folder_out, tmp_path / "copy")
    (folder / "locked.al3").chmod(0o600)
    first = ingest(folder, destination, pattern="locked.al3")
    again = ingest(folder, destination, pattern="locked.al3", reprocess="failed")
    assert [first["summary"]["skipped"], again["summary"]["succeeded"]] == [1, 1]
    assert statuses(destination, folder)["locked.al3"] == "succeeded"


# The same files give the same tables


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """About 3 MB of all forms and habits, archives too, a part of it damaged."""
    made = tmp_path_factory.mktemp("corpus") / "in"
    write_sample(made, 24, 160, seed=7, damage=0.3)
    return made


@pytest.fixture(scope="module")
def corpus_out(corpus: Path, spark: object) -> Path:
    ingest(corpus, corpus.parent / "out")
    return corpus.parent / "out"


@pytest.mark.parametrize(
    "options",
    [{"window_kib": 4}, {"window_kib": 65536}, {"chunk_mib": 1, "split_mib": 1}],
    ids=["windows of 4 KiB", "windows of 64 MiB", "small chunks and splits"],
)
def test_neither_windows_nor_splits_nor_chunks_change_the_tables(
    corpus: Path, corpus_out: Path, destination: Path, options: dict[str, Any]
) -> None:
    manifest = ingest(corpus, destination, **options)
    assert len(manifest["checkpoints"]) >= (3 if "chunk_mib" in options else 1)
    assert read_tables(destination) == read_tables(corpus_out)


def test_the_damage_of_the_corpus_is_found_in_the_files_that_have_it(corpus: Path, corpus_out: Path) -> None:
    _, *lines = (corpus / "_broken.csv").read_text().splitlines()
    expected = {(name, fault) for name, _, fault, _ in (line.split(",") for line in lines)}
    assert len(expected) >= 5
    assert expected <= set(faults(corpus_out, corpus))


# Sums are checked before anything is published


def lose_a_block(rows: Batches) -> Batches:
    return (row for number, row in enumerate(rows) if number != 1)


def double_a_block(rows: Batches) -> Batches:
    for number, row in enumerate(rows):
        yield from [row, row] if number == 1 else [row]


def lose_the_totals(rows: Batches) -> Batches:
    return (row for row in rows if row.column("table_name")[0].as_py() != TOTALS)


def miscount_bytes(rows: Batches) -> Batches:
    for row in rows:
        fields = row.to_pylist()
        if fields[0]["table_name"] == TOTALS:
            totals = json.loads(fields[0]["payload"])
            totals["files"][0]["record_bytes"] -= 1
            fields[0]["payload"] = json.dumps(totals).encode()
        yield pa.RecordBatch.from_pylist(fields, row.schema)


def change_a_value(rows: Batches) -> Batches:
    """As many rows, but of another version of the file."""
    for row in rows:
        fields = row.to_pylist()
        if fields[0]["table_name"] == "policies":
            policies = plain_rows(unpack(pa.py_buffer(fields[0]["payload"])))
            at = policies.schema.get_field_index("policy_number")
            numbers = [number.replace("1", "9") for number in policies["policy_number"].to_pylist()]
            changed = policies.set_column(at, policies.schema.field(at), pa.array(numbers))
            fields[0]["payload"] = pack(changed)
        yield pa.RecordBatch.from_pylist(fields, row.schema)


@pytest.fixture
def tamper(monkeypatch: pytest.MonkeyPatch) -> Callable[[Task], None]:
    """tamper(change): on its way from the parse to the shuffle every block passes through `change`."""
    make_parse = pipeline.make_parse

    def install(change: Task) -> None:
        def make(*given: Any) -> Task:
            parse = make_parse(*given)
            return lambda ids: change(parse(ids))

        monkeypatch.setattr(pipeline, "make_parse", make)

    return install


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lose_a_block, r"split 0 sent 2 rows to \w+, 0 were written"),
        (double_a_block, r"split 0 sent 2 rows to \w+, 4 were written"),
        (lose_the_totals, "1 splits were to be parsed, totals came of 0"),
        (change_a_value, "split 0: other rows were written to policies than it sent"),
        (miscount_bytes, "a.al3 does not add up: covered bytes: 3492 of 3493"),
    ],
)
def test_nothing_is_published_when_the_sums_are_wrong(
    source: Path, destination: Path, tamper: Callable[[Task], None], change: Task, message: str
) -> None:
    put(source, {"a.al3": al3(0, 1)})
    tamper(change)
    with pytest.raises(BatchError, match=message):
        ingest(source, destination)
    assert published_files(destination) == []
    assert staged_files(destination) == []
    place = open_place(str(destination))
    (job_id,) = list_jobs(place)
    assert [read_manifest(place), read_status(place, job_id)["status"]] == [None, "failed"]


def test_a_batch_that_failed_leaves_its_files_to_the_next(
    source: Path, destination: Path, tamper: Callable[[Task], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(source, {"a.al3": al3(0, 1)})
    tamper(lose_a_block)
    with pytest.raises(BatchError):
        ingest(source, destination)
    monkeypatch.undo()
    assert ingest(source, destination)["summary"]["succeeded"] == 1
    assert read_rows(destination, "policies", "policy_number") == [("P0000000",), ("P0000001",)]


@pytest.mark.parametrize("change", [lose_a_block, change_a_value])
def test_a_chunk_that_spark_parsed_again_from_other_files_is_run_again(
    source: Path, destination: Path, monkeypatch: pytest.MonkeyPatch, change: Task
) -> None:
    """As when an executor dies with output that nobody had read, and a file was replaced meanwhile."""
    put(source, {"a.al3": al3(0, 1)})
    make_parse, made = pipeline.make_parse, []

    def make(*given: Any) -> Task:
        parse = make_parse(*given)
        made.append(parse)
        return (lambda ids: change(parse(ids))) if len(made) == 1 else parse

    monkeypatch.setattr(pipeline, "make_parse", make)
    assert ingest(source, destination)["status"] == "completed"
    assert read_rows(destination, "files", "attempts") == [(2,)]
    assert read_rows(destination, "policies", "policy_number") == [("P0000000",), ("P0000001",)]
    assert staged_files(destination) == []


# Chunks, and batches that are killed

SOME = 20  # policies in a part of a large file


def chunked(source: Path) -> Path:
    """Three files, of which each makes a chunk of its own with chunk_mib=1."""
    parts = {
        f"{name}.al3": al3(*range(start, start + SOME)) * 30
        for start, name in ((0, "a"), (20, "b"), (40, "c"))
    }
    assert {len(data) > 600 << 10 for data in parts.values()} == {True}
    return put(source, parts)


def plans(destination: Path, job_id: str) -> dict[str, list[str]]:
    """The tables of each plan of a job that was published."""
    folder = destination / "_al3spark/jobs" / job_id
    assert len(list(folder.glob("plan-*.done.json"))) == len(list(folder.glob("plan-??????.json")))
    found = {path.stem: json.loads(path.read_text())["publish"] for path in folder.glob("plan-??????.json")}
    return {
        name: [staged["final_name"].partition("/")[0] for staged in found[name]] for name in sorted(found)
    }


def test_every_chunk_is_published_by_a_plan_of_its_own(source: Path, destination: Path) -> None:
    manifest = ingest(chunked(source), destination, chunk_mib=1, split_mib=1)
    assert [each["chunk"] for each in manifest["checkpoints"]] == [0, 1, 2]
    found = plans(destination, manifest["job_id"])
    assert list(found) == ["plan-000000", "plan-000001", "plan-000002"]
    assert {(names.count("files"), names.count("policies"), names[-1]) for names in found.values()} == {
        (1, 1, "files")
    }
    assert manifest["artifacts"] == [f"_al3spark/jobs/{manifest['job_id']}/{name}.json" for name in found]
    assert statuses(destination, source) == dict.fromkeys(["a.al3", "b.al3", "c.al3"], "succeeded")


def test_contents_are_found_equal_across_chunks(source: Path, destination: Path) -> None:
    chunked(source)
    put(source, {"d.al3.gz": gzip.compress((source / "a.al3").read_bytes())})
    manifest = ingest(source, destination, chunk_mib=1, split_mib=1)
    assert len(manifest["checkpoints"]) == 4
    assert statuses(destination, source)["d.al3.gz"] == "skipped"
    assert len(read_rows(destination, "policies", "policy_number")) == 3 * 30 * SOME


KILLED_IN_CHUNK_1 = """
import os, signal, sys, threading
from pathlib import Path
from tests.batches import ready, run

def kill(progress):
    # Of three chunks the second is parsed and staged: this thread comes by only then.
    if progress.fraction > 0.6 and threading.current_thread() is threading.main_thread():
        os.kill(os.getpid(), signal.SIGKILL)

run(ready(Path(sys.argv[1]), Path(sys.argv[2]), chunk_mib=1, split_mib=1, master="local[2]"), kill)
"""


def test_a_run_after_a_killed_batch_reads_only_what_that_had_not_published(
    source: Path, destination: Path
) -> None:
    chunked(source)
    command = [sys.executable, "-c", KILLED_IN_CHUNK_1, str(source), str(destination)]
    environment = {**os.environ, "PYSPARK_PYTHON": sys.executable}
    killed = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert statuses(destination, source) == {"a.al3": "succeeded"}
    assert staged_files(destination) != []
    second = ingest(source, destination)
    assert statuses(destination, source, second["job_id"]) == {"b.al3": "succeeded", "c.al3": "succeeded"}
    assert staged_files(destination) == []
    found = read_rows(destination, "policies", "file_id", "policy_number")
    assert len(found) == 3 * 30 * SOME
    assert len({file_id for file_id, _ in found}) == 3


# What analysts get


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory, spark: SparkSession) -> Path:
    """Two files with several policies, and three vehicles each."""
    folder = tmp_path_factory.mktemp("tables")
    put(folder / "in", {"a.al3": al3(1, 2, vehicles=3), "b.al3": squeeze(al3(3, vehicles=3))})
    ingest(folder / "in", folder / "out", ingest_date=date(2026, 1, 2))
    return folder / "out"


def test_every_table_starts_with_the_same_columns(tables: Path) -> None:
    first = [
        "job_id",
        "file_id",
        "record_offset",
        "record_length",
        "message_offset",
        "transaction_offset",
        "parent_offset",
        "group_version",
        "processing_level",
        "iteration",
        "parent_group",
        "parent_level",
        "parent_iteration",
        "header_flags",
    ]
    groups = sorted(
        {path.parent.parent.name for path in tables.glob("*/ingest_date=*/*")} - {"files", "errors"}
    )
    names = {table: pq.ParquetFile(parquet_files(tables, table)[0]).schema_arrow.names for table in groups}
    assert "auto_coverages" in names
    assert {table: columns[:14] for table, columns in names.items()} == dict.fromkeys(groups, first)
    assert {columns[-1] for columns in names.values()} == {"extra_bytes"}


def test_parquet_files_are_zstd_with_statistics_in_one_row_group_where_small(tables: Path) -> None:
    paths = sorted(tables.glob("*/ingest_date=2026-01-02/*.parquet"))
    metadata = [pq.ParquetFile(path).metadata for path in paths]
    assert len(paths) == 10
    assert [file.num_row_groups for file in metadata] == [1] * 10
    columns = [file.row_group(0).column(number) for file in metadata for number in range(file.num_columns)]
    assert {column.compression for column in columns} == {"ZSTD"}
    assert [column.path_in_schema for column in columns if not column.is_stats_set] == []
    (trailers,) = parquet_files(tables, "message_trailers")
    statistics = pq.ParquetFile(trailers).metadata.row_group(0).column(2).statistics
    ends = sorted(offset for (offset,) in read_rows(tables, "message_trailers", "record_offset"))
    assert (statistics.min, statistics.max) == (ends[0], ends[-1])


def test_spark_reads_a_table_with_its_partition(spark: SparkSession, tables: Path) -> None:
    found = spark.read.parquet(str(tables / "policies")).select(
        "ingest_date", "policy_number", "current_term_amount"
    )
    assert sorted(tuple(row) for row in found.collect()) == [
        (date(2026, 1, 2), f"P000000{number}", Decimal("115.00")) for number in (1, 2, 3)
    ]


def test_a_child_finds_its_parent_by_file_and_offset(spark: SparkSession, tables: Path) -> None:
    for table in ("auto_coverages", "vehicles", "locations", "policies", "transactions"):
        spark.read.parquet(str(tables / table)).createOrReplaceTempView(f"joined_{table}")
    found = spark.sql(
        """
        SELECT t.transaction_sequence_number, p.policy_number, v.iteration, c.full_term_premium
        FROM joined_auto_coverages c
        JOIN joined_vehicles v ON c.file_id = v.file_id AND c.parent_offset = v.record_offset
        JOIN joined_locations l ON v.file_id = l.file_id AND v.parent_offset = l.record_offset
        JOIN joined_policies p ON l.file_id = p.file_id AND l.parent_offset = p.record_offset
        JOIN joined_transactions t ON c.file_id = t.file_id AND c.transaction_offset = t.record_offset
        """
    ).collect()
    assert sorted((tuple(row) for row in found), key=str) == [
        (policy, f"P000000{policy}", vehicle, premium)
        for policy in (1, 2, 3)
        for vehicle in (1, 2, 3)
        for premium in (Decimal(vehicle) / 4, None)
    ]


def test_a_record_is_where_its_offset_says(tables: Path) -> None:
    data = (tables.parent / "in/a.al3").read_bytes()
    ids = dict(read_rows(tables, "files", "file_path", "file_id"))
    rows = read_rows(tables, "vehicles", "file_id", "record_offset", "record_length", "iteration")
    mine = [row[1:] for row in rows if row[0] == ids[f"{tables.parent}/in/a.al3"]]
    assert [data[at : at + 16] for at, _, _ in mine] == [
        b"5VEH%03d   R1%04d" % (length, iteration) for _, length, iteration in mine
    ]
    assert len(mine) == 6


# Requests that cannot be carried out


def test_a_dry_run_lists_what_would_be_read_and_writes_nothing(source: Path, destination: Path) -> None:
    ingest(put(source, {"a.al3": al3(1)}), destination)
    put(source, {"b.al3": al3(2)})
    before = sorted(destination.glob("**/*"))
    found = preview(prepare(ready(source, destination).request, writes=False))
    assert [file.name for file in found.files] == ["b.al3"]
    assert [(each.file.name, each.reason) for each in found.skipped] == [("a.al3", "ingested before")]
    assert sorted(destination.glob("**/*")) == before


def test_a_source_that_does_not_exist_is_told_before_spark_starts(source: Path, destination: Path) -> None:
    with pytest.raises(StoreError, match=f"^{source}: No such file or directory$"):
        ready(source, destination)
    assert not destination.exists()


def test_a_destination_that_cannot_be_written_is_told_before_spark_starts(
    source: Path, destination: Path
) -> None:
    put(source, {"a.al3": al3(1)})
    destination.write_bytes(b"a file")
    with pytest.raises(StoreError, match=str(destination)):
        ready(source, destination / "below")

"""Whole batches that leave CSV files beside their tables."""

import json
import os
import signal
import time
import zipfile
from base64 import b64decode
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from al3spark.al3.building import build_file
from al3spark.batch import run_batch
from al3spark.cli import main
from al3spark.preparing import Prepared
from al3spark.reporting import Progress
from al3spark.spark.running import is_interrupted, run_interruptibly
from al3spark.spark.session import open_session
from tests.al3.samples import DICTIONARY, message
from tests.batches import al3, published_files, put, read_table, ready, run, staged_files
from tests.buckets import Bucket
from tests.servers import make_bucket

pytestmark = [pytest.mark.spark, pytest.mark.usefixtures("spark")]

TYPES = {
    "int32": "INTEGER",
    "int64": "BIGINT",
    "date32[day]": "DATE",
    "timestamp[us]": "TIMESTAMP",
    "bool": "BOOLEAN",
}


def with_csv(prepared: Prepared) -> Prepared:
    destination = replace(prepared.request.destination, format="csv")
    return replace(prepared, request=replace(prepared.request, destination=destination))


def put_some(folder: Path) -> Path:
    """Files with groups that have no layout, a fault in a value, and one that is no AL3 at all."""
    broken = al3(4).replace(b"00000011500+", b"00SMITH1500+")
    return put(
        folder,
        {
            "a.al3": build_file(message([1, 2]), DICTIONARY),
            "b.al3": al3(3, vehicles=3),
            "c.al3": broken,
            "d.txt": b"no AL3 at all",
        },
    )


def tell_type(kind: object) -> str:
    """The type of a column of Parquet in DuckDB."""
    name = str(kind)
    return name.upper().replace("DECIMAL128", "DECIMAL") if "decimal" in name else TYPES.get(name, "VARCHAR")


def test_the_zip_holds_every_row_of_the_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = put_some(tmp_path / "in"), tmp_path / "out"
    with pytest.raises(SystemExit) as ended:
        main(["ingest", str(source), str(out), "--min-age-s", "0", "--format", "csv"])
    assert ended.value.code == 0
    manifest = json.loads((out / "_manifest.json").read_text())
    where = out / "csv" / f"{manifest['job_id']}.zip"
    told = capsys.readouterr()
    assert told.out.splitlines()[-1] == f"csv files: {where}"
    assert "writing csv" in told.err.splitlines()
    with zipfile.ZipFile(where) as archive:
        archive.extractall(tmp_path / "csv")
    found = sorted(path.name for path in (tmp_path / "csv").iterdir())
    assert found == ["_manifest.json", *(f"{table}.csv" for table in sorted(manifest["tables"]))]
    assert json.loads((tmp_path / "csv/_manifest.json").read_text()) == manifest
    for table in manifest["tables"]:
        compare(out, table, tmp_path / "csv" / f"{table}.csv")
    assert {"errors", "files", "unmapped_groups", "policies"} <= set(manifest["tables"])


def compare(out: Path, table: str, path: Path) -> None:
    """DuckDB reads from the CSV what is in the table, value by value, and in the order of the keys."""
    rows = read_table(out, table)
    assert rows is not None
    binary = [field.name for field in rows.schema if str(field.type) == "binary"]
    types = {field.name: tell_type(field.type) for field in rows.schema} | {"ingest_date": "VARCHAR"}
    asked = f"columns = {types}, header = true, allow_quoted_nulls = false"
    read = duckdb.sql(f"FROM read_csv('{path}', {asked})").fetchall()
    values = [dict(zip(types, row, strict=True)) for row in read]
    days = {row.pop("ingest_date") for row in values}
    assert len(days) == 1
    expected = rows.to_pylist()
    values = [
        {n: b64decode(v) if n in binary and v is not None else v for n, v in row.items()} for row in values
    ]
    if table == "files":  # DuckDB has no zone in TIMESTAMP
        for row in (*values, *expected):
            row.pop("started_at"), row.pop("finished_at")
    assert sorted(values, key=repr) == sorted(expected, key=repr)
    keys = ("file_path", "file_path") if table in ("files", "errors") else ("file_id", "record_offset")
    ordered = [tuple(row[key] for key in keys) for row in values]
    assert ordered == sorted(ordered)


@pytest.mark.newest
def test_a_request_document_asks_for_it_and_every_cut_gives_the_same_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = put(tmp_path / "in", {f"{number}.al3": al3(number, vehicles=2) for number in range(12)})
    document = {
        "source": {"uri": str(source)},
        "destination": {"uri": "", "format": "csv"},
        "options": {"min_age_s": 0},
    }
    texts = []
    for number, options in enumerate(({}, {"split_mib": 1, "chunk_mib": 1, "ingest_date": None})):
        document["destination"]["uri"] = str(tmp_path / f"out{number}")
        document["options"] |= options
        (tmp_path / "request.json").write_text(json.dumps(document))
        with pytest.raises(SystemExit) as ended:
            main(["ingest", "--request", str(tmp_path / "request.json"), "--json"])
        assert ended.value.code == 0
        job_id = json.loads(capsys.readouterr().out)["job_id"]
        with zipfile.ZipFile(tmp_path / f"out{number}/csv/{job_id}.zip") as archive:
            texts.append(archive.read("policies.csv").replace(job_id.encode(), b"JOB"))
    assert texts[0] == texts[1]
    assert texts[0].count(b"\r\n") == 13


@pytest.mark.newest
def test_a_changed_file_takes_rows_from_the_job_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = put(tmp_path / "in", {"a.al3": al3(1), "b.al3": al3(2)}), tmp_path / "out"
    first = run(ready(source, out))
    put(source, {"a.al3": al3(1, 3)})
    run(with_csv(ready(source, out, on_changed="replace")))
    with pytest.raises(SystemExit) as ended:
        main(["export", str(out), "--job", first["job_id"], "--format", "csv"])
    assert ended.value.code == 0
    told = capsys.readouterr().out.splitlines()
    assert told[1].endswith(
        f" rows that {first['job_id']} wrote are no more in the tables: a later job replaced them"
    )
    with zipfile.ZipFile(out / f"csv/{first['job_id']}.zip") as archive:
        assert len(archive.read("policies.csv").splitlines()) == 2


@pytest.mark.newest
def test_tables_are_published_even_if_the_csv_cannot_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = put(tmp_path / "in", {"a.al3": al3(1)}), put(tmp_path / "out", {"csv": b"in the way"})
    with pytest.raises(SystemExit) as ended:
        main(["ingest", str(source), str(out), "--min-age-s", "0", "--format", "csv"])
    told = capsys.readouterr()
    assert (ended.value.code, told.out) == (1, "")
    job_id = json.loads((out / "_manifest.json").read_text())["job_id"]
    command = f"al3spark export {out} --format csv --job {job_id}"
    line = told.err.splitlines()[-1]
    assert line.startswith(
        f"al3spark: {job_id}: all its tables are published, its CSV files are not: {out}/csv"
    )
    assert line.endswith(f"; `{command}` makes them")
    assert len(published_files(out)) > 3
    assert staged_files(out) == []
    status = json.loads((out / f"_al3spark/jobs/{job_id}/status.json").read_text())
    assert status["status"] == "failed"
    (out / "csv").unlink()
    with pytest.raises(SystemExit) as ended:
        main(command.split()[1:])
    assert ended.value.code == 0
    assert (out / f"csv/{job_id}.zip").stat().st_size > 1000


@pytest.mark.newest
def test_ctrl_c_when_the_csv_is_written_leaves_the_tables_only(tmp_path: Path) -> None:
    source, out = put(tmp_path / "in", {"a.al3": al3(1)}), tmp_path / "out"

    def report(progress: Progress) -> None:
        if progress.step == "writing csv":
            os.kill(os.getpid(), signal.SIGINT)
            while not is_interrupted():
                time.sleep(0.001)

    with open_session() as spark, pytest.raises(KeyboardInterrupt):
        run_interruptibly(spark, lambda: run_batch(with_csv(ready(source, out)), spark, report))
    (status,) = out.glob("_al3spark/jobs/*/status.json")
    assert json.loads(status.read_text())["status"] == "cancelled"
    assert not (out / "csv").exists()
    assert staged_files(out) == []
    assert len(published_files(out)) > 3


@pytest.mark.newest
@pytest.mark.s3
def test_the_zip_is_in_the_bucket_as_on_a_disk(moto: str, tmp_path: Path) -> None:
    bucket = Bucket(moto, make_bucket(moto), tmp_path / "downloaded")
    source = put_some(tmp_path / "in")
    bucket.upload(source)
    job_id = run(with_csv(bucket.ready(ingest_date=None)))["job_id"]
    assert bucket.uploads() == []
    folder = bucket.download("tables/csv/")
    disk = run(with_csv(ready(source, tmp_path / "out")))["job_id"]
    there, here = (unpack(path) for path in (folder / f"{job_id}.zip", tmp_path / f"out/csv/{disk}.zip"))
    assert there.keys() == here.keys()
    for name in there.keys() - {"_manifest.json", "files.csv"}:
        root = f"s3://{bucket.name}/in".encode()
        assert there[name].replace(job_id.encode(), b"").replace(root, b"") == here[name].replace(
            disk.encode(), b""
        ).replace(str(source).encode(), b"")


def unpack(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}

"""What operators rely on, on the command as they type it: budget, states, lock, resume, changes."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from al3spark.cli import main
from al3spark.store.lock import acquire
from al3spark.store.places import open_place
from tests.batches import al3, put, read_rows, statuses

pytestmark = [pytest.mark.spark, pytest.mark.newest]

BAD = b"Dear agent, this is no download.\r\n"

Ingest = Callable[..., dict[str, Any]]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def ingest(spark: object, source: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> Ingest:
    """ingest(flags, code=exit code) runs the command and gives its manifest."""

    def run(*flags: str, code: int = 0) -> dict[str, Any]:
        with pytest.raises(SystemExit) as ended:
            main(["ingest", str(source), str(out), "--min-age-s", "0", "--json", *flags])
        said = capsys.readouterr()
        assert ended.value.code == code, said.err
        manifest: dict[str, Any] = json.loads(said.out)
        return manifest

    return run


def numbers(out: Path) -> list[int]:
    return sorted(int(number[1:]) for (number,) in read_rows(out, "policies", "policy_number"))


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[str]]:
    """Exit code and lines of an error."""
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    assert isinstance(ended.value.code, int)
    return ended.value.code, capsys.readouterr().err.splitlines()


def test_error_budget(source: Path, out: Path, ingest: Ingest) -> None:
    put(source, {"a.al3": al3(1), "b.txt": BAD, "c.txt": BAD + b"!"})
    stopped = ingest("--max-failed-files", "1", code=1)
    assert (stopped["status"], stopped["stopped"]["reason"]) == (
        "failed",
        "2 files failed, and max_failed_files is 1",
    )
    assert not (out / "policies").exists()
    fine = ingest("--max-failed-files", "2")
    assert (fine["status"], fine["summary"]["failed"], numbers(out)) == ("partial_success", 2, [1])


def test_on_error_fail(source: Path, out: Path, ingest: Ingest) -> None:
    put(source, {"a.al3": al3(1), "b.txt": BAD})
    assert ingest("--on-error", "fail", code=1)["summary"]["failed"] == 1
    assert not (out / "policies").exists()


def test_file_states(source: Path, out: Path, ingest: Ingest) -> None:
    put(source, {"a.al3": al3(1), "b.al3": al3(2) + b"9ZZZ", "copy.al3": al3(1), "text.al3": BAD})
    ingest()
    assert statuses(out, source) == {
        "a.al3": "succeeded",
        "b.al3": "succeeded_with_faults",
        "copy.al3": "skipped",
        "text.al3": "failed",
    }
    again = ingest()
    assert (again["status"], again["summary"]["skipped"], again["summary"]["failed"]) == ("completed", 4, 0)
    assert len(read_rows(out, "files", "file_path")) == 4
    retried = ingest("--reprocess", "failed", "--strict", code=3)
    assert (retried["summary"]["failed"], retried["summary"]["skipped"]) == (1, 3)


def test_the_lock(source: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(source, {"a.al3": al3(1)})
    with acquire(open_place(str(out)), "batch-20260102-abc123"):
        code, lines = told(capsys, "ingest", str(source), str(out), "--min-age-s", "0")
    assert code == 1
    assert re.fullmatch(
        r"al3spark: job batch-20260102-abc123 holds the lock of the destination since 20\S+ .*", lines[-1]
    )
    assert not (out / "policies").exists()


def test_resume(source: Path, out: Path, ingest: Ingest) -> None:
    """A batch that stopped in its second chunk: the next one reads only what was not published."""
    put(source, {"a.al3": al3(*range(1, 800)), "b.txt": BAD, "c.al3": al3(*range(800, 1600))})
    small = ("--chunk-mib", "1", "--split-mib", "1")
    stopped = ingest("--on-error", "fail", *small, code=1)
    assert (stopped["stopped"]["chunk"], numbers(out)) == (1, list(range(1, 800)))
    resumed = ingest(*small)
    assert (resumed["summary"]["skipped"], resumed["summary"]["processed"]) == (1, 2)
    assert numbers(out) == list(range(1, 1600))


def test_duplicates(source: Path, out: Path, ingest: Ingest) -> None:
    put(source, {"a.al3": al3(1), "copy.al3": al3(1)})
    assert ingest()["summary"]["skipped"] == 1
    put(source, {"later.al3": al3(1)})
    assert ingest()["summary"]["processed"] == 0
    rows = read_rows(out, "files", "file_path", "status", "duplicate_of")
    assert sorted(rows) == [
        (f"{source}/a.al3", "succeeded", None),
        (f"{source}/copy.al3", "skipped", f"{source}/a.al3"),
        (f"{source}/later.al3", "skipped", f"{source}/a.al3"),
    ]
    assert numbers(out) == [1]


def test_a_changed_file_is_added(source: Path, out: Path, ingest: Ingest) -> None:
    put(source, {"a.al3": al3(1)})
    ingest()
    put(source, {"a.al3": al3(2)})
    assert ingest()["summary"]["replaced_rows"] == 0
    assert numbers(out) == [1, 2]


def test_a_changed_file_replaces(source: Path, out: Path, ingest: Ingest) -> None:
    put(source, {"a.al3": al3(1), "b.al3": al3(3)})
    ingest()
    put(source, {"a.al3": al3(2)})
    assert ingest("--on-changed", "replace")["summary"]["replaced_rows"] > 0
    assert numbers(out) == [2, 3]


def test_reprocess_a_job(
    source: Path, out: Path, ingest: Ingest, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    put(source, {"a.al3": al3(1), "b.al3": al3(2)})
    first = ingest("--archive", str(tmp_path / "archive"))
    assert (first["summary"]["archived"], list(source.iterdir())) == (2, [])
    again = ingest("--archive", str(tmp_path / "archive"), "--reprocess", first["job_id"])
    assert (again["summary"]["succeeded"], numbers(out)) == (2, [1, 2])
    assert {job for (job,) in read_rows(out, "policies", "job_id")} == {again["job_id"]}

    command = ["ingest", str(source), str(out), "--reprocess", again["job_id"]]
    code, lines = told(capsys, *command)  # without --archive nobody knows where its files are
    assert (code, lines[-1].startswith(f"al3spark: reprocess: 2 of the files of {again['job_id']} ")) == (
        1,
        True,
    )
    assert numbers(out) == [1, 2]


def test_watching_a_job(source: Path, out: Path, ingest: Ingest, capsys: pytest.CaptureFixture[str]) -> None:
    put(source, {"a.al3": al3(1)})
    job = ingest()["job_id"]
    began = time.monotonic()
    with pytest.raises(SystemExit) as ended:
        main(["status", str(out), "--watch"])
    assert (ended.value.code, time.monotonic() - began < 2) == (0, True)  # it is over: shown once
    assert capsys.readouterr().out.startswith(f"{job}: completed\n  100.0 % of 0.0 MB")

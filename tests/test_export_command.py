"""`al3spark export` as a process of its own: what it tells, what it holds, how it ends."""

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from al3spark.cli import main
from al3spark.store.documents import write_manifest
from al3spark.store.lock import acquire
from al3spark.store.places import Place, open_place
from tests.batches import ROOT
from tests.tables import DAY, A, B, ingest, ledger_of, publish

MIB = 1 << 20
TEXTS = 8  # columns of 50 characters
PEAK = "import re; print(re.search('VmHWM:.* ([0-9]+) kB', open('/proc/self/status').read())[1])"


def big_rows(job_id: str, ids: list[str], rows: int) -> pa.Table:
    """Rows of several files, those of each one after the other in ascending order."""
    texts = pa.array([f"{number * 7919:050}" for number in range(1000)])
    each = -(-rows // len(ids))
    columns = {
        "job_id": pa.repeat(pa.scalar(job_id), rows),
        "file_id": pa.array(np.repeat(ids, each)[:rows]),
        "record_offset": pa.array(np.arange(rows) % each * 400),
    }
    for number in range(TEXTS):
        columns[f"text_{number}"] = texts.take(pa.array(np.arange(rows) * (number + 3) % 1000))
    return pa.table(columns)


def make_big(folder: Path, mib: int) -> Path:
    """A destination with a table of so many MiB in files of 10 MiB, as one job wrote it."""
    place = open_place(str(folder))
    rows = 10 * MIB // (TEXTS * 50 + 60)
    for number in range(mib // 10):
        ids = [f"{(number * 7 + n) * 7919 % 10007:032}" for n in range(7)]
        tables = {f"policies/{DAY}": big_rows("job-a", ids, rows), f"files/{DAY}": ledger_of("job-a", *ids)}
        publish(place, "job-a", number, tables)
    return folder


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_big(tmp_path_factory.mktemp("big") / "tables", 100)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = open_place(str(tmp_path / "tables"))
    ingest(place, "job-a", A, B)
    return place


Command = Callable[..., tuple[object, str, str]]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    def run(*arguments: object) -> tuple[object, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(each) for each in arguments])
        return (ended.value.code, *capsys.readouterr())

    return run


def test_it_tells_what_is_where(place: Place, command: Command, tmp_path: Path) -> None:
    code, out, err = command("export", tmp_path / "tables", "--format", "csv", "--job", "job-a")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        f"{tmp_path}/tables/csv/job-a.zip: 12 rows of 3 tables, 0.0 MB",
        "  job-a has no manifest: it has not ended, was killed, or its documents were cleaned",
    ]


def test_rows_that_were_replaced_are_told_in_one_line(place: Place, command: Command, tmp_path: Path) -> None:
    write_manifest(place, "job-a", {"tables": {"policies": {"rows": 1010}}})
    code, out, err = command("export", tmp_path / "tables", "-o", tmp_path / "a.zip")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        f"{tmp_path}/a.zip: 12 rows of 3 tables, 0.0 MB",
        "  1,006 of 1,018 rows that job-a wrote are no more in the tables: a later job replaced them",
    ]


def test_it_prints_json(place: Place, command: Command, tmp_path: Path) -> None:
    code, out, err = command("export", tmp_path / "tables", "-o", tmp_path / "a.zip", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == {
        "job_id": "job-a",
        "where": f"{tmp_path}/a.zip",
        "size": (tmp_path / "a.zip").stat().st_size,
        "tables": {"files": 2, "policies": 4, "vehicles": 6},
        "missing": 0,
        "has_manifest": False,
    }


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (("none", "-o", "a.zip"), 1, "{here}/none: No such file or directory"),
        (("none",), 2, "{here}/none: no job has run here"),
        (("empty", "-o", "a.zip"), 2, "{here}/empty: no job has published anything here"),
        (("tables", "--job", "job-x"), 2, "{here}/tables: no job job-x; `al3spark jobs` lists them"),
        (("tables", "--format", "xlsx"), 2, "Invalid value for '--format': 'xlsx' is not 'csv'."),
        (("tables", "-o", "tables"), 2, "Invalid value for '-o' / '--output': File 'tables' is a directory."),
        (("tables", "-o", ""), 2, "Invalid value for '-o' / '--output': It is empty."),
        (("tables", "--job", "", "-o", "a.zip"), 2, "{here}/tables: no job ; `al3spark jobs` lists them"),
        (("tables", "-o", "none/a.zip"), 1, "none/a.zip: No such file or directory"),
        (("tables", "-o", "/dev/full/a.zip"), 1, "/dev/full/a.zip: Not a directory"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(
    place: Place,
    command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    complaint: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    ended = command("export", *arguments)
    assert ended[:2] == (code, "")
    assert ended[2].startswith(f"al3spark: {complaint.format(here=tmp_path)}")
    assert ended[2].count("\n") == 1
    assert not (tmp_path / "none").exists()
    assert list((tmp_path / "empty").iterdir()) == []


def test_while_a_batch_runs_only_a_local_file_can_be_made(
    place: Place, command: Command, tmp_path: Path
) -> None:
    with acquire(place, "job-b", heartbeat_s=0.05):
        code, out, err = command("export", tmp_path / "tables")
        assert (code, out) == (1, "")
        assert err.startswith("al3spark: job job-b holds the lock of the destination")
        assert command("export", tmp_path / "tables", "-o", tmp_path / "a.zip")[0] == 0
    assert not (tmp_path / "tables/csv").exists()


def test_memory_does_not_grow_with_the_rows(big: Path, tmp_path: Path) -> None:
    small = make_big(tmp_path / "small", 20)
    peaks = []
    for folder in (small, big):
        arguments = ["export", str(folder), "-o", str(tmp_path / "a.zip")]
        code = f"from al3spark.cli import cli; cli.main({arguments!r}, standalone_mode=False); {PEAK}"
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
        )
        peaks.append(int(done.stdout.splitlines()[-1]) / 1024)
    sys.stderr.write(f"peaks of 20 and 100 MiB of rows: {peaks[0]:.0f} and {peaks[1]:.0f} MiB\n")
    assert peaks[1] - peaks[0] < 60


def has_begun(destination: Path) -> bool:
    """Whether a part of the zip is there; folders come and go meanwhile."""
    with suppress(FileNotFoundError):
        return any(path.stat().st_size for path in destination.glob("_al3spark/staging/*/*job-a.zip"))
    return False


@pytest.fixture
def exporting(big: Path) -> Iterator["subprocess.Popen[str]"]:
    """The command when it has written a part of the zip at the destination."""
    command = [sys.executable, "-m", "al3spark.cli", "export", str(big)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            while not has_begun(big):
                assert process.poll() is None
                time.sleep(0.01)
            yield process
        finally:
            process.kill()


def test_what_is_killed_leaves_no_zip_and_the_next_run_makes_it(
    big: Path, exporting: "subprocess.Popen[str]", command: Command
) -> None:
    exporting.kill()
    assert exporting.wait() == -signal.SIGKILL
    assert not (big / "csv").exists()
    assert len(list(big.glob("_al3spark/staging/*/*.zip"))) == 1
    assert command("export", big)[0] == 0
    assert list(big.glob("_al3spark/staging/*/*.zip")) == []
    with zipfile.ZipFile(big / "csv/job-a.zip") as archive, archive.open("policies.csv") as lines:
        assert sum(1 for _ in lines) == 1 + 10 * (10 * MIB // (TEXTS * 50 + 60))
    (big / "csv/job-a.zip").unlink()
    (big / "csv").rmdir()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_leaves_nothing(
    big: Path, exporting: "subprocess.Popen[str]", number: signal.Signals, code: int
) -> None:
    os.kill(exporting.pid, number)
    out, err = exporting.communicate()
    assert (exporting.returncode, out) == (code, "")
    assert [line for line in err.splitlines() if line] == [
        "al3spark: interrupted; nothing half done is published"
    ]
    assert not (big / "csv").exists()
    assert list(big.glob("_al3spark/staging/*/*.zip")) == []
    assert len(list(big.glob("_al3spark/lock-*.released.json"))) == 1


def test_a_full_disk_is_told_in_one_line(big: Path, tmp_path: Path) -> None:
    """A limit on the size of files stands for it: on the temporary files of sorting."""
    script = f"ulimit -f 8192; exec {sys.executable} -m al3spark.cli export {big} -o {tmp_path}/a.zip"
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"al3spark: {os.environ.get('TMPDIR', '/tmp')}: File too large\n"
    assert list(tmp_path.iterdir()) == []

"""The job under spark-submit, as a cluster runs it: the zip by --py-files, nothing of it installed."""

import json
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.batches import al3, put, read_rows

ROOT = Path(__file__).parent.parent
LONG_AGO = 1_700_000_000
# Takes the checkout off the path, where an editable install puts it: in the driver and in every worker.
HIDE = f"import sys\nsys.path[:] = [each for each in sys.path if each != {str(ROOT)!r}]\n"

pytestmark = [pytest.mark.spark, pytest.mark.slow]


@dataclass(frozen=True, slots=True)
class Cluster:
    """A folder to work in, and an environment in which al3spark cannot be imported."""

    folder: Path
    environment: dict[str, str]

    def run(self, *command: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(each) for each in command],
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=self.environment,
            check=False,
        )

    def submit(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Run the job with a zip of the package: what scripts/package makes, see test_packaging.py."""
        archive = self.folder / "al3spark.zip"
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
            for path in (ROOT / "al3spark").rglob("*"):
                if path.is_file() and path.suffix != ".pyc":
                    target.write(path, path.relative_to(ROOT))
        submit = Path(sys.executable).parent / "spark-submit"
        job = ROOT / "jobs" / "ingest.py"
        return self.run(submit, "--master", "local[2]", "--py-files", archive, job, *arguments)


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    put(tmp_path / "site", {"sitecustomize.py": HIDE.encode()})
    paths = {"PYTHONPATH": str(tmp_path / "site"), "PYSPARK_PYTHON": sys.executable}
    loopback = {"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_LOCAL_HOSTNAME": "localhost"}
    folder = tmp_path / "work"
    folder.mkdir()
    return Cluster(folder, os.environ | paths | loopback)


def test_the_zip_is_all_that_spark_submit_needs(cluster: Cluster, tmp_path: Path) -> None:
    missing = cluster.run(sys.executable, "-c", "import al3spark")
    assert missing.stderr.endswith("ModuleNotFoundError: No module named 'al3spark'\n")

    source = put(
        tmp_path / "in", {"a.al3": al3(1, 2), "letter.txt": b"Dear agent, here is the download.\r\n"}
    )
    for path in source.iterdir():
        os.utime(path, (LONG_AGO, LONG_AGO))
    done = cluster.submit(source, tmp_path / "out", "--strict", "--json")

    assert done.returncode == 3, done.stderr  # a file failed: spark-submit passes the exit code on
    steps, brace, document = done.stdout.partition("{\n")  # spark-submit sends both streams of Python to one
    manifest = json.loads(brace + document)
    assert manifest["status"] == "partial_success"
    assert manifest["tables"]["policies"]["rows"] == 2
    assert read_rows(tmp_path / "out", "policies", "policy_number") == [("P0000001",), ("P0000002",)]
    assert [line.partition(" ")[0] for line in steps.splitlines()][:3] == [
        "listing",
        "identifying",
        "parsing",
    ]
    assert "Traceback" not in steps


def test_a_complaint_passes_through_spark_submit(cluster: Cluster, tmp_path: Path) -> None:
    done = cluster.submit(tmp_path / "none", tmp_path / "out")
    assert done.returncode == 1
    assert done.stdout == f"al3spark: {tmp_path}/none: No such file or directory\n"
    assert not (tmp_path / "out").exists()

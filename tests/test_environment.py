"""The packed environment: its Python, its archive, and the README's lines for a cluster, from S3 to S3."""

import io
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import boto3
import pyarrow.parquet as pq
import pytest

from al3spark import __version__
from tests.batches import ROOT, al3, put
from tests.clusters import DUE_S, SETTINGS, SPARK_HOME, launch, put_settings, run_cluster
from tests.servers import KEYS, make_bucket

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
MACHINE = platform.machine()
PACKED = ["al3spark", "boto3", "botocore", "click", "numpy", "pandas", "pyarrow"]
README = (ROOT / "README.md").read_text().replace("\\\n", " ").replace("x86_64", MACHINE)
ON_A_CLUSTER = README.partition("\n### Another cluster\n")[2].partition("\n### ")[0].splitlines()
(UNPACK,) = (line for line in ON_A_CLUSTER if line.startswith("tar "))
SUBMIT_PACKED, SUBMIT_CODE = (line for line in ON_A_CLUSTER if line.startswith("spark-submit "))

# Imported by every Python process of the driver and of an executor when it starts. The checkout is taken off
# the path, where an editable install puts it.
NOTE = f"""
import importlib.util, json, os, pathlib, sys
sys.path[:] = [each for each in sys.path if each != {str(ROOT)!r}]
found = {{name: importlib.util.find_spec(name) for name in os.environ["NAMES"].split()}}
origins = {{name: spec and spec.origin for name, spec in found.items()}}
pathlib.Path(os.environ["NOTES"], str(os.getpid())).write_text(json.dumps(origins))
"""


def run(*command: object, **variables: str) -> subprocess.CompletedProcess[str]:
    words = [str(each) for each in command]
    return subprocess.run(words, env=variables, capture_output=True, text=True, check=False)


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    """An environment without packages but one, `six`."""
    shutil.copytree(ROOT / "conf" / "environment", tmp_path / "environment")
    put(tmp_path / "environment" / "lib" / f"python{PYTHON}" / "site-packages", {"six.py": b""})
    return tmp_path / "environment"


def test_a_node_without_the_interpreter_says_so_in_one_line(unpacked: Path) -> None:
    done = run(unpacked / "bin" / "python", AL3SPARK_PYTHON="python3.99")
    assert done.returncode == 127
    assert done.stderr == (
        f"al3spark: {platform.node()} has no python3.99; "
        f"AL3SPARK_PYTHON can name a python{PYTHON} on every node\n"
    )


def test_packages_come_after_what_was_given_and_before_what_is_installed(
    unpacked: Path, tmp_path: Path
) -> None:
    given = put(tmp_path / "given", {"click.py": b""})
    code = "import click, six, pyarrow; print(click.__file__, six.__file__, pyarrow.__file__)"
    done = run(unpacked / "bin" / "python", "-c", code, PYTHONPATH=str(given), AL3SPARK_PYTHON=sys.executable)
    site = unpacked / "lib" / f"python{PYTHON}" / "site-packages"
    click, six, pyarrow = done.stdout.split()
    assert (click, six) == (str(given / "click.py"), str(site / "six.py"))
    assert pyarrow.startswith(sys.prefix)


def test_packages_are_found_through_links_and_from_any_folder(unpacked: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(unpacked)
    (tmp_path / "python").symlink_to("link/bin/python")
    done = run(tmp_path / "python", "-c", "import six; print(six.__file__)", AL3SPARK_PYTHON=sys.executable)
    assert done.stdout == f"{unpacked}/lib/python{PYTHON}/site-packages/six.py\n"


@dataclass(frozen=True, slots=True)
class Node:
    """A folder with dist/ and the jobs, a cluster, and variables of its processes; no packages for Python."""

    folder: Path
    environment: dict[str, str]
    master: str
    bucket: str

    def submit(self, line: str, python: str = "") -> list[dict[str, str]]:
        """Do what a line of the README says; give where each Python process found its packages."""
        notes = self.folder / "notes"
        shutil.rmtree(notes, ignore_errors=True)
        notes.mkdir()
        line = re.sub(r"spark://MASTER:\d+", self.master, line)
        line = re.sub(r"s3://(SOURCE|DESTINATION)_BUCKET/", f"s3://{self.bucket}/", line)
        name, *arguments = [*shlex.split(line), "--strict"]
        environment = self.environment | ({"PYSPARK_PYTHON": python} if python else {})
        out, err = self.folder / "stdout", self.folder / "stderr"
        with ExitStack() as stack:
            words = [SPARK_HOME / "bin" / name, *arguments]
            process = launch(stack, words, environment, out, err, self.folder)
            assert process.wait(DUE_S) == 0, out.read_text() + err.read_text()
        return [json.loads(path.read_text()) for path in notes.iterdir()]

    def policies(self) -> list[str]:
        """The policies that are in the tables."""
        s3 = boto3.client("s3", endpoint_url=self.environment["AWS_ENDPOINT_URL"])
        found = s3.list_objects_v2(Bucket=self.bucket, Prefix="tables/policies/").get("Contents", ())
        bodies = (s3.get_object(Bucket=self.bucket, Key=each["Key"])["Body"].read() for each in found)
        tables = [pq.read_table(io.BytesIO(body), columns=["policy_number"]) for body in bodies]
        return sorted(number for table in tables for number in table["policy_number"].to_pylist())


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, moto: str) -> Iterator[Node]:
    """With dist/ as scripts/package makes it."""
    folder = tmp_path_factory.mktemp("node")
    (folder / "jobs").symlink_to(ROOT / "jobs")
    package = [ROOT / "scripts" / "package", "--archive", "--platform", MACHINE, "--python", PYTHON]
    subprocess.run([*package, folder / "dist", sys.executable], stdout=subprocess.DEVNULL, check=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "bare"], check=True)
    paths = [folder / "bare" / "bin", Path(shutil.which("java") or "").parent, "/usr/bin", "/bin"]
    given = {name: value for name, value in os.environ.items() if name == "JAVA_HOME" or name in KEYS}
    environment = given | {
        "AWS_ENDPOINT_URL": moto,
        "HOME": str(folder),
        "NAMES": " ".join([*PACKED, "pyspark"]),
        "NOTES": str(folder / "notes"),
        "PATH": os.pathsep.join(map(str, paths)),
        "PYTHONPATH": str(put(folder / "hook", {"sitecustomize.py": NOTE.encode()})),
        "SPARK_CONF_DIR": str(put_settings(folder / "conf", SETTINGS)),
        "SPARK_HOME": str(SPARK_HOME),
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    (folder / "cluster").mkdir()
    with run_cluster(folder / "cluster", environment, ["127.0.0.1"]) as master:
        yield Node(folder, environment, master, make_bucket(moto))
    shutil.rmtree(folder)  # several copies of the packages


@pytest.mark.spark
@pytest.mark.slow
@pytest.mark.newest
def test_the_archive_holds_no_spark_and_no_trace_of_its_build(node: Node) -> None:
    with tarfile.open(
        node.folder / "dist" / f"al3spark-{__version__}-environment-{MACHINE}.tar.gz"
    ) as archive:
        members = archive.getmembers()
    names = [member.name for member in members]
    site = f"lib/python{PYTHON}/site-packages/"
    assert names == sorted(names)
    assert [name for name in names if not name.startswith(site)] == ["bin/python"]
    packages = {name.removeprefix(site).partition("/")[0] for name in names if name.startswith(site)}
    assert packages >= {*PACKED, f"al3spark-{__version__}.dist-info"}
    assert not packages & {"bin", "pyspark", "py4j"}
    assert not [name for name in names if name.endswith(".pyc") or "/tests/" in name]
    assert {(member.mtime, member.uid, member.gid, member.uname) for member in members} == {
        (1577836800, 0, 0, "")
    }
    assert [member.name for member in members if member.mode != 0o644] == ["bin/python"]


@pytest.mark.spark
@pytest.mark.s3
@pytest.mark.slow
@pytest.mark.newest
def test_the_job_runs_from_s3_to_s3_where_python_has_no_packages(node: Node) -> None:
    code = "import os, importlib.util; print(*map(importlib.util.find_spec, os.environ['NAMES'].split()))"
    bare = run(node.folder / "bare" / "bin" / f"python{PYTHON}", "-I", "-c", code, **node.environment)
    assert set(bare.stdout.split()) == {"None"}

    s3 = boto3.client("s3", endpoint_url=node.environment["AWS_ENDPOINT_URL"])
    s3.put_object(Bucket=node.bucket, Key="incoming/a.al3", Body=al3(1, 2))
    (node.folder / "environment").mkdir()
    subprocess.run(shlex.split(UNPACK), cwd=node.folder, check=True)
    notes = node.submit(SUBMIT_PACKED)
    assert node.policies() == ["P0000001", "P0000002"]
    (work,) = node.folder.glob("cluster/work/app-*/0")
    environments = {note[name].partition("/lib/")[0] for note in notes for name in PACKED}
    assert environments == {f"{node.folder}/environment", f"{work}/environment"}
    assert {note["pyspark"] for note in notes} == {f"{SPARK_HOME}/python/lib/pyspark.zip/pyspark/__init__.py"}

    # And where nodes have the packages, the code alone is enough.
    s3.put_object(Bucket=node.bucket, Key="incoming/b.al3", Body=al3(3))
    notes = node.submit(SUBMIT_CODE, python=sys.executable)
    assert node.policies() == ["P0000001", "P0000002", "P0000003"]
    found = {Path(note["al3spark"]).parts[-3] for note in notes if note["al3spark"]}
    assert found == {f"al3spark-{__version__}.zip"}

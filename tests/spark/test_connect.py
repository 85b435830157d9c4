"""The command on a real Spark Connect server, from S3 to S3; the server's Python does not have the package.

A hook in its Python workers takes the package off their path, and waits or dies at files of certain names.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyspark
import pytest

from al3spark.sampling import write_sample
from al3spark.spark.connect import SERVER_GONE
from al3spark.store.documents import list_jobs, read_status
from al3spark.store.places import open_place
from tests.batches import ROOT, Tables, al3, ingest, put, read_rows
from tests.servers import free_port, make_bucket, wait_for
from tests.test_s3 import Bucket, tables_of

SPARK_HOME = Path(pyspark.__file__).parent
# pyspark 4 brings the server; for 3.5 it is the newest that is published, which serves all of them.
PACKAGES = () if pyspark.__version__ >= "4" else ("--packages", "org.apache.spark:spark-connect_2.12:3.5.7")
LIGHT = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"  # a Java process starts in half the time
DUE_S = 60
TRIED_S = 60  # to reach a server that is gone: not the ten minutes of Connect

HOOK = f"""
import os, sys, time
from importlib.abc import MetaPathFinder
from importlib.util import find_spec
from pathlib import Path

sys.path[:] = [each for each in sys.path if each != {str(ROOT)!r}]


def hook(module):
    parse = module.SplitParser.parse

    def waiting(self, path, *given):
        if path.endswith("/deadly.al3"):
            os._exit(9)
        if path.endswith("/endless.al3"):
            Path(os.environ["NOTES"], "waiting").touch()
            time.sleep({DUE_S})
        return parse(self, path, *given)

    module.SplitParser.parse = waiting


class Finder(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != "al3spark.al3.parsing":
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        loader = spec.loader  # that of all modules of an archive

        def load(module):
            del loader.exec_module
            loader.exec_module(module)
            hook(module)

        loader.exec_module = load
        return spec


sys.meta_path.insert(0, Finder())
"""

pytestmark = [pytest.mark.spark, pytest.mark.s3, pytest.mark.slow]


@dataclass(slots=True)
class Server:
    """A Spark Connect server of two cores, which can be killed and started anew. `s3`: URL of its store."""

    folder: Path
    s3: str
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"sc://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """For the server and for commands."""
        ours = {"AWS_ENDPOINT_URL": self.s3, "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
        return {**os.environ, **ours, "SPARK_HOME": str(SPARK_HOME)}

    def start(self) -> None:
        """Start; `ready` waits for it."""
        put(self.folder / "site", {"sitecustomize.py": HOOK.encode()})
        settings = {
            "spark.connect.grpc.binding.address": "127.0.0.1",
            "spark.connect.grpc.binding.port": self.port,
            "spark.driver.defaultJavaOptions": LIGHT,
            "spark.ui.enabled": "false",
        }
        given = [word for name, value in settings.items() for word in ("--conf", f"{name}={value}")]
        service = "org.apache.spark.sql.connect.service.SparkConnectServer"
        command = ["bin/spark-submit", "--master", "local[2]", "--class", service, *PACKAGES, *given]
        hooked = {"PYTHONPATH": str(self.folder / "site"), "NOTES": str(self.folder)}
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(SPARK_HOME / command[0]), *command[1:]],
                cwd=self.folder,
                env=self.environment | hooked,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> None:
        """Kill the Java process and what it started."""
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def run(self, *arguments: object, **environment: str) -> "subprocess.Popen[str]":
        """Start a command."""
        return subprocess.Popen(
            [sys.executable, "-m", "al3spark.cli", *map(str, arguments)],
            cwd=ROOT,
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def ready(self) -> "Server":
        """Wait until it serves."""
        assert self.process
        wait_for(self.port, self.process)
        return self

    def wait_until_it_parses(self) -> None:
        """Wait until a task is at the file that never ends."""
        note, due = self.folder / "waiting", time.monotonic() + DUE_S
        while not note.exists():
            assert time.monotonic() < due
            time.sleep(0.05)
        note.unlink()


@pytest.fixture(scope="module")
def server(moto: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"), moto)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus") / "in"
    write_sample(folder, files=10, size_kib=60, seed=5, damage=0.2)
    return folder


@pytest.fixture(scope="module")
def expected(server: Server, corpus: Path, spark: object, tmp_path_factory: pytest.TempPathFactory) -> Tables:
    """The tables of the corpus, from disk to disk with classic Spark, while the server starts."""
    out = tmp_path_factory.mktemp("expected")
    ingest(corpus, out)
    return tables_of(out, corpus)


@pytest.fixture
def bucket(moto: str, tmp_path: Path) -> Bucket:
    return Bucket(moto, make_bucket(moto), tmp_path / "downloaded")


def places(bucket: Bucket) -> tuple[str, str]:
    return f"s3://{bucket.name}/in/", f"s3://{bucket.name}/tables/"


def end(process: "subprocess.Popen[str]") -> tuple[int, str, list[str]]:
    """Wait for the end; give the exit code, the output, and what was said beside the progress."""
    out, err = process.communicate(timeout=DUE_S)
    steps = ("listing", "identifying", "parsing", "done")
    return process.returncode, out, [line for line in err.splitlines() if line and not line.startswith(steps)]


def ingest_all(server: Server, bucket: Bucket) -> dict[str, Any]:
    """Run the command, which must be through with all and complain of nothing; give the manifest."""
    options = ("--json", "--master", server.url)
    code, out, told = end(server.ready().run("ingest", *places(bucket), *options))
    assert (code, told) == (0, [])
    manifest: dict[str, Any] = json.loads(out)
    return manifest


def assert_nothing_is_left(bucket: Bucket, status: str) -> None:
    """The one job ended with a status; nothing is published or waits to be."""
    folder = bucket.download()
    (job,) = list_jobs(open_place(str(folder)))
    assert (read_status(open_place(str(folder)), job) or {})["status"] == status
    assert [path.name for path in folder.iterdir()] == ["_al3spark"]
    assert bucket.uploads() == []


def test_tables_are_those_of_classic_spark_from_disk(
    server: Server, bucket: Bucket, corpus: Path, expected: Tables
) -> None:
    bucket.upload(corpus)
    manifest = ingest_all(server, bucket)
    assert manifest["versions"]["spark"] == pyspark.__version__
    assert tables_of(bucket.download(), f"s3://{bucket.name}/in") == expected
    assert bucket.uploads() == []
    again = ingest_all(server, bucket)
    assert (again["summary"]["processed"], again["summary"]["skipped"] >= 10) == (0, True)


def test_a_file_that_kills_its_worker_costs_only_itself(
    server: Server, bucket: Bucket, tmp_path: Path
) -> None:
    bucket.upload(put(tmp_path / "in", {"a.al3": al3(1), "deadly.al3": al3(2)}))
    assert ingest_all(server, bucket)["status"] == "partial_success"
    rows = read_rows(bucket.download(), "files", "file_path", "status")
    name = f"s3://{bucket.name}/in"
    assert sorted(rows) == [(f"{name}/a.al3", "succeeded"), (f"{name}/deadly.al3", "failed")]


@pytest.mark.parametrize("how", ["interrupt", "cancel"])
def test_a_run_that_is_stopped_leaves_nothing_and_the_server_serves_the_next(
    server: Server, bucket: Bucket, tmp_path: Path, how: str
) -> None:
    bucket.upload(put(tmp_path / "in", {"a.al3": al3(1), "endless.al3": al3(2)}))
    source, destination = places(bucket)
    running = server.ready().run("ingest", source, destination, SPARK_REMOTE=server.url)
    server.wait_until_it_parses()
    if how == "interrupt":
        os.killpg(running.pid, signal.SIGINT)
    else:
        (job,) = list_jobs(open_place(str(bucket.download())))
        assert end(server.run("cancel", destination, job))[0] == 0
    code, out, told = end(running)
    assert (code, out, len(told)) == (130, "", 1)
    assert_nothing_is_left(bucket, "cancelled")
    bucket.s3.delete_object(Bucket=bucket.name, Key="in/endless.al3")
    assert ingest_all(server, bucket)["summary"]["succeeded"] == 1


@pytest.mark.newest
def test_a_server_that_is_killed_ends_a_run_in_one_line_and_a_new_one_completes_it(
    server: Server, bucket: Bucket, tmp_path: Path
) -> None:
    bucket.upload(put(tmp_path / "in", {"a.al3": al3(1), "endless.al3": al3(2)}))
    running = server.ready().run("ingest", *places(bucket), SPARK_REMOTE=server.url)
    server.wait_until_it_parses()
    server.kill()
    began = time.monotonic()
    another = server.run("ingest", *places(bucket), SPARK_REMOTE=server.url)
    assert end(running) == (1, "", [f"al3spark: {SERVER_GONE}"])
    none = f"al3spark: no Spark Connect server answers at 127.0.0.1:{server.port} within 10 s"
    assert end(another) == (2, "", [none])
    assert time.monotonic() - began < TRIED_S
    assert_nothing_is_left(bucket, "failed")

    server.start()
    bucket.s3.delete_object(Bucket=bucket.name, Key="in/endless.al3")
    assert ingest_all(server, bucket)["summary"]["succeeded"] == 1

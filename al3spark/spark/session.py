"""A Spark session that just works, on a laptop and on a cluster.

In: the master that was asked for, if any. Out: a session with the settings that the job needs. Under
spark-submit, with a Spark Connect server or inside a running session, master and resources are theirs.
Raises: RequestError where no session can start, in one line.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pyspark import InheritableThread, SparkContext
from pyspark.sql import SparkSession

from al3spark.errors import RequestError

LEAST_JAVA = 17
_POLL_S = 0.5
_LOCAL = {
    "spark.ui.enabled": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.memory": "2g",
    "spark.log.level": "ERROR",
    "spark.ui.showConsoleProgress": "false",
}
# What the job sets wherever it runs: batches of few large rows, adaptive execution to the sizes named here.
_JOB = {
    "spark.sql.execution.arrow.maxRecordsPerBatch": "16",
    "spark.sql.adaptive.enabled": "true",
    "spark.sql.adaptive.coalescePartitions.enabled": "true",
    "spark.sql.adaptive.coalescePartitions.parallelismFirst": "false",
    "spark.sql.adaptive.advisoryPartitionSizeInBytes": "64m",
    "spark.sql.adaptive.optimizeSkewsInRebalancePartitions.enabled": "true",
}


@contextmanager
def open_session(master: str | None = None) -> Iterator[SparkSession]:
    """Give a session for one run; one that this starts is stopped at the end, a given one left as it was."""
    given = SparkSession.getActiveSession()
    spark = given or _start(master)
    before = {name: spark.conf.get(name, None) for name in _JOB}
    for name, value in _JOB.items():
        spark.conf.set(name, value)
    try:
        yield spark
    finally:
        if given is None:
            spark.stop()
        else:
            _restore(spark, before)


def count_cores(spark: SparkSession) -> int:
    """How many tasks run side by side, as far as the session tells."""
    if hasattr(spark, "_jsc"):
        return int(spark.sparkContext.defaultParallelism)
    return int(spark.conf.get("spark.default.parallelism", "8") or 8)


@contextmanager
def watch_tasks(spark: SparkSession, name: str, tasks: int, tell: Callable[[float], None]) -> Iterator[None]:
    """While a job of `tasks` parse tasks runs, tell now and then which part of them is done, 0 to 1.

    Only classic Spark has task counts; on Connect nothing is told before the end.
    """
    if not hasattr(spark, "_jsc"):
        yield
        tell(1.0)
        return
    context = spark.sparkContext
    context.setJobGroup(name, "al3spark", interruptOnCancel=True)
    done = threading.Event()

    def poll() -> None:
        while not done.wait(_POLL_S):
            tell(_finished_part(context, name, tasks))

    poller = InheritableThread(target=poll, daemon=True)
    poller.start()
    try:
        yield
        tell(1.0)
    finally:
        done.set()
        poller.join()


def _finished_part(context: SparkContext, name: str, tasks: int) -> float:
    tracker = context.statusTracker()
    finished = 0
    for job in tracker.getJobIdsForGroup(name):
        info = tracker.getJobInfo(job)
        stages = [tracker.getStageInfo(stage) for stage in info.stageIds] if info else []
        finished = max(
            [finished, *(stage.numCompletedTasks for stage in stages if stage and stage.numTasks == tasks)]
        )
    return min(finished / max(tasks, 1), 1.0)


def _restore(spark: SparkSession, before: dict[str, str | None]) -> None:
    for name, value in before.items():
        if value is None:
            spark.conf.unset(name)
        else:
            spark.conf.set(name, value)


def _start(master: str | None) -> SparkSession:
    builder = SparkSession.builder.appName("al3spark")
    if "PYSPARK_GATEWAY_PORT" in os.environ or "SPARK_REMOTE" in os.environ:
        return builder.getOrCreate()
    require_java()
    master = master or "local[*,4]"
    builder = builder.master(master).config("spark.sql.session.timeZone", "UTC")
    if master.startswith("local"):
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        for name, value in _LOCAL.items():
            builder = builder.config(name, value)
    with _stderr_aside() as told:
        try:
            return builder.getOrCreate()
        except Exception as error:
            told.seek(0)
            raise RequestError(f"Spark does not start: {_last_line(told.read()) or error}") from error


@contextmanager
def _stderr_aside() -> Iterator[IO[bytes]]:
    """Keep what the Java process writes to standard error out of ours: it inherits it when it starts."""
    with tempfile.TemporaryFile() as aside:
        ours = os.dup(2)
        os.dup2(aside.fileno(), 2)
        try:
            yield aside
        finally:
            os.dup2(ours, 2)
            os.close(ours)


def _last_line(output: bytes) -> str:
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else ""


def require_java() -> None:
    """Raise RequestError unless a Java that Spark can use is found."""
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home, "bin", "java")) if home else shutil.which("java")
    hint = f"install Java {LEAST_JAVA} or newer, or set JAVA_HOME"
    if not java or not Path(java).exists():
        raise RequestError(f"Spark needs Java and there is none: {hint}")
    told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', told)
    if not version or int(version[1]) < LEAST_JAVA:
        raise RequestError(
            f"Spark needs Java {LEAST_JAVA}, {java} is {version[1] if version else 'unknown'}: {hint}"
        )

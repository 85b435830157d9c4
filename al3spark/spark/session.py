"""A Spark session that just works, on a laptop and on a cluster.

In: the master that was asked for, if any. Out: a session with the settings that the job needs. Under
spark-submit, with a Spark Connect server or inside a running session, master and resources are theirs.
Raises: RequestError where no session can start, in one line.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from py4j.protocol import Py4JError
from pyspark import SparkContext
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from al3spark.errors import BatchError, RequestError
from al3spark.spark.connect import check_server, find_remote, is_remote, open_remote, send_package

LEAST_JAVA = 17
JAVA_GONE = (
    "the Java process of Spark has ended, as when it is killed for its memory; nothing half done is "
    "published, run it again"
)
_NAMED = re.compile(r"^(?:Exception in thread \S+ )?[\w.$]*(?:Exception|Error): (.+)", re.MULTILINE)
LOCAL_SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.memory": "2g",
    # The Java process only moves bytes: what its second compiler makes of that comes too late to be of use.
    # Alone it sets 48 MiB aside for code, which a session with many plans fills; then Java compiles no more.
    # Options of the user, in spark.driver.extraJavaOptions, come behind these and count.
    "spark.driver.defaultJavaOptions": "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=192m",
    "spark.shuffle.compress": "false",  # blocks are packed, and pass through no network
    "spark.log.level": "ERROR",
    "spark.ui.showConsoleProgress": "false",
}
ADVISORY_SIZE = "spark.sql.adaptive.advisoryPartitionSizeInBytes"
# What the job sets wherever it runs: batches of few large rows, adaptive execution to the sizes named here.
JOB_SETTINGS = {
    "spark.sql.execution.arrow.maxRecordsPerBatch": "16",
    "spark.sql.adaptive.enabled": "true",
    "spark.sql.adaptive.coalescePartitions.enabled": "true",
    "spark.sql.adaptive.coalescePartitions.parallelismFirst": "false",
    ADVISORY_SIZE: "64m",
    "spark.sql.adaptive.optimizeSkewsInRebalancePartitions.enabled": "true",
}


@contextmanager
def open_session(master: str | None = None, parallelism: int | None = None) -> Iterator[SparkSession]:
    """Give a session for one run; one that this starts is stopped at the end, a given one left as it was.

    `parallelism`: cores of a session that this starts; where it was given, that is warned of.
    """
    given = SparkSession.getActiveSession()
    with _same_sigint():
        spark = given or _start(master, parallelism)
    if given and is_remote(given):
        send_package(given)
    if parallelism and (given or is_given(master)):
        sys.stderr.write(
            "al3spark: parallelism is left alone: the session was given, its cores are its own\n"
        )
    before = {name: spark.conf.get(name, None) for name in JOB_SETTINGS}
    for name, value in JOB_SETTINGS.items():
        spark.conf.set(name, value)
    try:
        yield spark
    except Exception as error:
        if given is None and _is_java_gone(spark):
            raise BatchError(JAVA_GONE) from error
        check_server(spark, error)
        raise
    finally:
        with suppress(ConnectionError, Py4JError, PySparkException):  # what it talks to may be gone
            if given is None:
                spark.stop()
            else:
                _restore(spark, before)


def _is_java_gone(spark: SparkSession) -> bool:
    """Whether the Java process that this one started has ended; nobody can tell of another's."""
    gateway = None if is_remote(spark) else getattr(SparkContext, "_gateway", None)
    process = getattr(gateway, "proc", None)
    return process is not None and process.poll() is not None


def is_given(master: str | None) -> bool:
    """Whether master and resources are another's: of spark-submit, or of a Spark Connect server."""
    return "PYSPARK_GATEWAY_PORT" in os.environ or bool(find_remote(master))


def count_cores(spark: SparkSession) -> int:
    """How many tasks run side by side, as far as the session tells."""
    if not is_remote(spark):
        return int(spark.sparkContext.defaultParallelism)
    parts = spark.range(1 << 16).selectExpr("spark_partition_id() AS part")  # it cuts into one for each core
    return int(parts.selectExpr("max(part) + 1").collect()[0][0])


def _restore(spark: SparkSession, before: dict[str, str | None]) -> None:
    for name, value in before.items():
        if value is None:
            spark.conf.unset(name)
        else:
            spark.conf.set(name, value)


def _start(master: str | None, parallelism: int | None) -> SparkSession:
    if url := find_remote(master):
        return open_remote(url)
    builder = SparkSession.builder.appName("al3spark")
    if is_given(master):  # Java runs already, and writes where it writes
        try:
            return builder.getOrCreate()
        except Exception as error:
            raise _not_started(error, str(error)) from error
    require_java()
    master = master or f"local[{parallelism or '*'},4]"
    if parallelism:
        builder = builder.config("spark.cores.max", str(parallelism))
    builder = builder.master(master).config("spark.sql.session.timeZone", "UTC")
    if master.startswith("local"):
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        for name, value in LOCAL_SETTINGS.items():
            builder = builder.config(name, value)
    with _stderr_aside() as told:
        try:
            return builder.getOrCreate()
        except Exception as error:
            told.seek(0)
            raise _not_started(error, told.read().decode(errors="replace")) from error


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


@contextmanager
def _same_sigint() -> Iterator[None]:
    """Keep our way to take SIGINT: Spark's calls Java in the middle of a call to Java, which breaks both."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)


def _not_started(error: Exception, told: str) -> RequestError:
    """Say why, in the message of the first Java exception or error of a text, if it names one."""
    named = _NAMED.search(told)
    return RequestError(f"Spark does not start: {named[1].strip() if named else type(error).__name__}")


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

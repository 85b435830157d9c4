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
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, nullcontext, suppress
from contextvars import ContextVar
from pathlib import Path
from threading import Thread
from typing import IO, Any, TypeVar

from py4j.protocol import Py4JError, Py4JJavaError
from pyspark import InheritableThread, SparkContext
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from al3spark.errors import BatchError, CancelledError, RequestError
from al3spark.spark.connect import check_server, find_remote, is_remote, open_remote, send_package

Result = TypeVar("Result")

LEAST_JAVA = 17
JAVA_GONE = (
    "the Java process of Spark has ended, as when it is killed for its memory; nothing half done is "
    "published, run it again"
)
_CLEAN_UP_S = 30.0
_CANCEL_AGAIN_S = 0.2
_INTERRUPTED: ContextVar[threading.Event | None] = ContextVar("interrupted", default=None)
_CANCELLED = re.compile(r"\bJob \d+ cancelled\b|\[OPERATION_CANCELED\]")
_POLL_S = 0.5
_NAMED = re.compile(r"^(?:Exception in thread \S+ )?[\w.$]*(?:Exception|Error): (.+)", re.MULTILINE)
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
    before = {name: spark.conf.get(name, None) for name in _JOB}
    for name, value in _JOB.items():
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


def run_interruptibly(spark: SparkSession, work: Callable[[], Result]) -> Result:
    """Do `work` in a thread of its own, so that an interrupt, which comes to this one, can cancel its jobs.

    A signal that raises in the middle of a call to Java would break the connection and leave the job running.
    Raises what `work` raises; or the interrupt, once `work` has cleaned up or has had `_CLEAN_UP_S` for it.
    """
    outcome: Future[Result] = Future()
    interrupted = threading.Event()

    def run() -> None:
        _INTERRUPTED.set(interrupted)
        try:
            outcome.set_result(work())
        except BaseException as error:  # noqa: BLE001 - it is raised again where the outcome is taken
            outcome.set_exception(error)

    thread = Thread if is_remote(spark) else InheritableThread
    thread(target=run, daemon=True).start()
    try:
        # A wait without end can miss a signal that another thread took. Not Thread.join: interrupted, Python
        # 3.11 takes the thread for ended.
        while not wait([outcome], _POLL_S).done:
            pass
        return outcome.result()
    except KeyboardInterrupt:
        interrupted.set()
        until = time.monotonic() + _CLEAN_UP_S
        while not outcome.done() and time.monotonic() < until:
            cancel_jobs(spark)  # again and again: a job that is still being planned cannot be cancelled
            wait([outcome], _CANCEL_AGAIN_S)
        raise


def is_interrupted() -> bool:
    """Whether an interrupt came to the `run_interruptibly` that runs this: whatever fails, fails of that."""
    interrupted = _INTERRUPTED.get()
    return interrupted is not None and interrupted.is_set()


def cancel_jobs(spark: SparkSession) -> None:
    """End what runs in the session now; its actions raise then. From any thread."""
    with suppress(Exception):  # it may be gone already
        if is_remote(spark):
            spark.interruptAll()
        else:
            spark.sparkContext.cancelAllJobs()


@contextmanager
def watch_tasks(spark: SparkSession, name: str, tasks: int, tell: Callable[[float], None]) -> Iterator[None]:
    """While a job of `tasks` parse tasks runs, tell now and then which part of them is done, 0 to 1.

    Only classic Spark has task counts; on Connect nothing is told before the end. Raises CancelledError if
    the job was cancelled, and what else happens.
    """
    with nullcontext() if is_remote(spark) else _telling(spark.sparkContext, name, tasks, tell):
        try:
            yield
            tell(1.0)
        except Exception as error:
            if is_cancelled(error):
                raise CancelledError("the Spark job was cancelled") from error
            raise


@contextmanager
def _telling(context: SparkContext, name: str, tasks: int, tell: Callable[[float], None]) -> Iterator[None]:
    context.setJobGroup(name, "al3spark", interruptOnCancel=True)
    done = threading.Event()

    def poll() -> None:
        while not done.wait(_POLL_S):
            tell(_finished_part(context, name, tasks))

    poller = InheritableThread(target=poll, daemon=True)
    poller.start()
    try:
        yield
    finally:
        done.set()
        poller.join()


def count_task_seconds(spark: SparkSession, name: str) -> float | None:
    """How long the tasks of a job group ran, all together; None where Spark does not tell (Connect)."""
    if is_remote(spark):
        return None
    with suppress(Exception):  # no public interface: what it costs is a figure
        context = spark.sparkContext
        tracker, store = context.statusTracker(), context._jsc.sc().statusStore()
        infos = [tracker.getJobInfo(job) for job in tracker.getJobIdsForGroup(name)]
        stages = {stage for info in infos if info for stage in info.stageIds}
        return sum(_run_time(store, stage) for stage in stages) / 1000
    return None


def _run_time(store: Any, stage: int) -> int:
    """Of the last attempt of a stage, in ms; 0 if it was skipped or forgotten."""
    with suppress(Py4JJavaError):
        return int(store.lastStageAttempt(stage).executorRunTime())
    return 0


def is_cancelled(error: Exception) -> bool:
    """Whether an action ended because somebody cancelled it or stopped its session."""
    return bool(_CANCELLED.search(str(error)))


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
        for name, value in _LOCAL.items():
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

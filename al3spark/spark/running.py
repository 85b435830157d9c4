"""Work in a session: interrupt it, cancel it, watch how far it is, and tell what it cost.

In: a session, and what is done in it. Promises: whoever interrupts a run waits until it has cleaned up; on
Spark Connect all but the progress by task is the same.
"""

import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, nullcontext, suppress
from contextvars import ContextVar
from threading import Thread
from typing import Any, TypeVar, cast

from py4j.protocol import Py4JJavaError
from pyspark import InheritableThread, SparkContext
from pyspark.sql import SparkSession

from al3spark.errors import CancelledError
from al3spark.spark.connect import is_remote

Result = TypeVar("Result")

_CLEAN_UP_S = 30.0
_CANCEL_AGAIN_S = 0.2
_INTERRUPTED: ContextVar[threading.Event | None] = ContextVar("interrupted", default=None)
_CANCELLED = re.compile(r"\bJob \d+ cancelled\b|\[OPERATION_CANCELED\]")
_POLL_S = 0.5
_MOST_TIMED = 500


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
    earlier = frozenset(context.statusTracker().getJobIdsForGroup(name))
    done = threading.Event()

    def poll() -> None:
        while not done.wait(_POLL_S):
            tell(_finished_part(context, name, tasks, earlier))

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


def read_task_seconds(spark: SparkSession, name: str, tasks: int) -> dict[int, float] | None:
    """How long tasks of a job group's newest parse ran, by number; None where Spark does not tell (Connect).

    The parse is the stage of so many tasks that writes to the shuffle. Of very many only the slowest are
    told: each takes five calls to Java.
    """
    if is_remote(spark):
        return None
    with suppress(Exception):  # no public interface: what is slow is a figure
        context = spark.sparkContext
        store, api = context._jsc.sc().statusStore(), cast("Any", context._jvm).org.apache.spark.status.api.v1
        succeeded = cast("Any", context._jvm).java.util.List.of(api.TaskStatus.SUCCESS)
        slowest_first = api.TaskSorting.DECREASING_RUNTIME
        stage = next(_newest_parses(context, store, name, tasks))
        seconds: dict[int, float] = {}
        for attempt in range(stage.attemptId() + 1):  # a later one repeats only what was lost
            told = store.taskList(stage.stageId(), attempt, 0, _MOST_TIMED, slowest_first, succeeded)
            for task in map(told.apply, range(told.size())):
                seconds[task.partitionId()] = task.taskMetrics().get().executorRunTime() / 1000
        return seconds
    return None


def _newest_parses(context: SparkContext, store: Any, name: str, tasks: int) -> Iterator[Any]:
    tracker = context.statusTracker()
    infos = [tracker.getJobInfo(job) for job in tracker.getJobIdsForGroup(name)]
    for number in sorted({stage for info in infos if info for stage in info.stageIds}, reverse=True):
        with suppress(Py4JJavaError):  # it was skipped, or is forgotten
            stage = store.lastStageAttempt(number)
            if stage.numTasks() == tasks and stage.shuffleWriteRecords():
                yield stage


def is_cancelled(error: Exception) -> bool:
    """Whether an action ended because somebody cancelled it or stopped its session."""
    return bool(_CANCELLED.search(str(error)))


def _finished_part(context: SparkContext, name: str, tasks: int, earlier: frozenset[int]) -> float:
    tracker = context.statusTracker()
    finished = 0
    for job in set(tracker.getJobIdsForGroup(name)) - earlier:
        info = tracker.getJobInfo(job)
        stages = [tracker.getStageInfo(stage) for stage in info.stageIds] if info else []
        finished = max(
            [finished, *(stage.numCompletedTasks for stage in stages if stage and stage.numTasks == tasks)]
        )
    return min(finished / max(tasks, 1), 1.0)

"""Run whole batches in a session that is up, and read from Spark what its stages did.

In: a folder of files. Out: seconds, the manifest, and stages with the run times of their tasks. Needs a
classic session: the figures are those of Spark's status store.
"""

import os
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench_corpus import write_corpus
from pyspark.sql import SparkSession

from al3spark.batch import run_batch
from al3spark.config import BatchRequest, Destination, Options, Source
from al3spark.preparing import Prepared, prepare
from al3spark.spark.running import run_interruptibly
from al3spark.spark.session import open_session

_WARM_BYTES = 1 << 20
_MOST_TASKS = 200_000


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of a job: when it ran, in seconds since 1970, and for how long each of its tasks did."""

    began: float
    ended: float
    is_parse: bool  # it wrote what is shuffled
    tasks_s: tuple[float, ...]
    shuffled: int  # bytes

    @property
    def straggling(self) -> float:
        """The longest task against the median one."""
        return max(self.tasks_s) / max(statistics.median(self.tasks_s), 0.001)


@dataclass(frozen=True, slots=True)
class BatchRun:
    """A batch that has run: when, in seconds since 1970, what it says of itself, and its stages in order."""

    began: float
    ended: float
    manifest: dict[str, Any]
    stages: tuple[Stage, ...]

    @property
    def seconds(self) -> float:
        """From the request to the manifest."""
        return self.ended - self.began

    @property
    def mb_per_s(self) -> float:
        """MB of input that was read."""
        return float(self.manifest["summary"]["bytes"]) / 1e6 / self.seconds

    @property
    def phases(self) -> dict[str, float]:
        """Seconds by phase; what is neither stage is the driver's, before, between and after."""
        parse = sum(each.ended - each.began for each in self.stages if each.is_parse)
        write = sum(each.ended - each.began for each in self.stages if not each.is_parse)
        first, last = self.stages[0].began, self.stages[-1].ended
        return {
            "before: lock, list, identify, plan": first - self.began,
            "parse stage": parse,
            "write stage": write,
            "between": last - first - parse - write,
            "after: publish, manifest": self.ended - last,
        }


@contextmanager
def warm_session(folder: Path) -> Iterator[SparkSession]:
    """A session that has run a small batch already."""
    os.environ["PYSPARK_PYTHON"] = sys.executable
    with open_session() as spark:
        source = folder / "warm"
        write_corpus(source, _WARM_BYTES, _WARM_BYTES // 4)
        run_job(spark, source, folder / "warm-tables")
        yield spark


def prepare_job(source: Path, destination: Path, **options: Any) -> Prepared:
    """Check a request for files that were written just now."""
    asked = Options(**{"min_age_s": 0, **options})
    return prepare(BatchRequest(Source(str(source)), Destination(str(destination)), asked))


def run_job(spark: SparkSession, source: Path, destination: Path, **options: Any) -> BatchRun:
    """Run a batch to its end; ends the program unless every file was read."""
    began = time.time()
    prepared = prepare_job(source, destination, **options)
    manifest = run_interruptibly(spark, lambda: run_batch(prepared, spark, lambda _: None))
    ended = time.time()
    summary = manifest["summary"]
    if manifest["status"] != "completed" or summary["skipped"]:
        sys.exit(f"bench: the job was to read all files: {manifest['status']}, {summary['skipped']} skipped")
    return BatchRun(began, ended, manifest, read_stages(spark, manifest["job_id"]))


def read_stages(spark: SparkSession, job_id: str) -> tuple[Stage, ...]:
    """Ask Spark what the stages of a batch did, in the order in which they ran."""
    context = spark.sparkContext
    java: Any = context._jsc.sc()
    java.listenerBus().waitUntilEmpty()  # the status store hears of what happened a little later
    tracker, store = context.statusTracker(), java.statusStore()
    infos = [tracker.getJobInfo(job) for job in tracker.getJobIdsForGroup(job_id)]
    numbers = {stage for info in infos if info for stage in info.stageIds}
    attempts = [store.lastStageAttempt(number) for number in numbers]
    stages = [_read_stage(store, each) for each in attempts if each.status().toString() == "COMPLETE"]
    return tuple(sorted(stages, key=lambda stage: stage.began))


def _read_stage(store: Any, data: Any) -> Stage:
    tasks = store.taskList(data.stageId(), data.attemptId(), _MOST_TASKS)
    durations = [tasks.apply(number).duration() for number in range(tasks.size())]
    return Stage(
        data.submissionTime().get().getTime() / 1000,
        data.completionTime().get().getTime() / 1000,
        data.shuffleWriteBytes() > 0,
        tuple(each.get() / 1000 for each in durations if each.isDefined()),
        data.shuffleWriteBytes(),
    )

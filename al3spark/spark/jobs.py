"""Run one Spark job: a function on numbers, and what it collects.

Promises: what makes tasks fail ends as an error of ours, in one line; of what Spark raises, only that the job
was cancelled is left.
"""

import re

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, Row, SparkSession

from al3spark.errors import Al3Error, BatchError, StoreError, SumsError, TasksFailedError
from al3spark.spark.connect import check_server
from al3spark.spark.running import is_cancelled
from al3spark.spark.tasks import Task, tell_briefly

_INDETERMINATE = re.compile("indeterminate output was failed and retried")  # Spark 4.1 and newer see it
_UNSTARTED = re.compile(r"Cannot run program .*")
_RAISED = re.compile(r"^((?:\w+\.)*\w+Error): (.*)$", re.MULTILINE)


def collect(spark: SparkSession, frame: DataFrame) -> list[Row]:
    """Run the job. Al3Error: its tasks failed. Of what Spark raises, only that it was cancelled is left."""
    try:
        return frame.collect()
    except (PySparkException, Py4JError) as error:
        if is_cancelled(error):
            raise
        check_server(spark, error)
        if _INDETERMINATE.search(str(error)):
            raise SumsError("Spark parsed lost output again, and the files had changed") from error
        raise _as_ours(error) from error


def _as_ours(error: Exception) -> Al3Error:
    """Say what made tasks fail: the last exception that a worker names; of a strange one only its class."""
    named = _RAISED.findall(str(error))
    kind, text = named[-1] if named else ("", "")
    if kind == "al3spark.errors.StoreError":
        return StoreError(text)
    if kind == "al3spark.errors.BatchError":
        return BatchError(text)
    unstarted = _UNSTARTED.search(str(error))  # a worker whose Python is not there
    return TasksFailedError(f"tasks failed: {kind or (unstarted and unstarted[0]) or type(error).__name__}")


def each_number(spark: SparkSession, count: int, task: Task, schema: str) -> DataFrame:
    """Run a function on the numbers 0 to `count` - 1, one task each."""
    return spark.range(0, count, 1, count).mapInArrow(tell_briefly(task), schema)

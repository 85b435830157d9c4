"""Work that is watched; interrupts are in test_interrupt.py, test_connect.py and test_crashes.py."""

import time
from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from al3spark.spark.running import read_task_seconds, watch_tasks


@pytest.mark.spark
def test_tasks_that_end_are_told_while_the_others_run(spark: SparkSession, tmp_path: Path) -> None:
    heard = tmp_path / "heard"

    def wait_for_the_last(batches: object) -> object:
        for batch in batches:  # type: ignore[attr-defined]
            while batch.column(0)[0].as_py() == 3 and not heard.exists():
                time.sleep(0.1)
            yield pa.record_batch({"id": batch.column(0)})

    def tell(part: float) -> None:
        told.append(part)
        if part == 0.75:
            heard.touch()

    for _ in range(2):  # the tasks of the one before have ended, but they are not these
        told: list[float] = []
        heard.unlink(missing_ok=True)
        with watch_tasks(spark, "watched", 4, tell):
            assert spark.range(0, 4, 1, 4).mapInArrow(wait_for_the_last, "id long").collect()
        assert told == sorted(told)
        assert (0.75 in told, told[-1]) == (True, 1.0)


@pytest.mark.spark
def test_seconds_are_those_of_the_newest_stage_that_wrote_to_the_shuffle(spark: SparkSession) -> None:
    def sleep_in(number: int) -> object:
        def work(batches: object) -> object:
            for batch in batches:  # type: ignore[attr-defined]
                time.sleep(2.0 if batch.column(0)[0].as_py() == number else 0.0)
                yield pa.record_batch({"id": batch.column(0)})

        return work

    assert read_task_seconds(spark, "timed", 3) is None
    for slow in (0, 2):
        with watch_tasks(spark, "timed", 3, lambda part: None):
            spark.range(0, 3, 1, 3).mapInArrow(sleep_in(slow), "id long").repartition(3).collect()
    seconds = read_task_seconds(spark, "timed", 3)
    assert seconds is not None
    assert set(seconds) == {0, 1, 2}
    assert seconds[2] >= 2.0
    assert read_task_seconds(spark, "timed", 4) is None


@pytest.mark.spark
def test_nothing_is_told_once_the_work_is_over(spark: SparkSession) -> None:
    told: list[float] = []
    with watch_tasks(spark, "watched", 1, told.append):
        pass
    time.sleep(1)
    assert told == [1.0]

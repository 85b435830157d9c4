"""What scripts/bench compares the command with: the two stages of a batch with nothing in them.

A program of its own: it starts Spark with the settings of the job, sends a few bytes for each table through
the same shuffle, and ends. Nothing is read and nothing is written.
"""

import os
import sys
from collections.abc import Iterator

import pyarrow as pa
from pyspark.sql import SparkSession

from al3spark.spark.session import JOB_SETTINGS, LOCAL_SETTINGS

TASKS = 2
TABLES = 25
BLOCKS = "table_name string, split_id int, block_no int, rows bigint, payload binary"
STAGED = "table_name string"
QUERY = "SELECT /*+ REBALANCE(table_name) */ * FROM blocks SORT BY table_name, split_id, block_no"

Batches = Iterator[pa.RecordBatch]


def parse(ids: Batches) -> Batches:
    """Give a block for each table."""
    for batch in ids:
        for task in batch.column(0).to_pylist():
            for number in range(TABLES):
                columns = [
                    pa.array([f"table_{number}"]),
                    pa.array([task], pa.int32()),
                    pa.array([number], pa.int32()),
                    pa.array([1]),
                    pa.array([b"12345678"]),
                ]
                yield pa.record_batch(columns, ["table_name", "split_id", "block_no", "rows", "payload"])


def write(blocks: Batches) -> Batches:
    """Give a row for each table."""
    names = {name for batch in blocks for name in batch.column(0).to_pylist()}
    for name in sorted(names):
        yield pa.record_batch([pa.array([name])], ["table_name"])


def main() -> None:
    """Run the two stages."""
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName("empty").master("local[*,4]")
    for name, value in {**LOCAL_SETTINGS, **JOB_SETTINGS}.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    spark.range(0, TASKS, 1, TASKS).mapInArrow(parse, BLOCKS).createOrReplaceTempView("blocks")
    staged = spark.sql(QUERY).mapInArrow(write, STAGED).collect()
    spark.stop()
    if len(staged) != TABLES:
        sys.exit(f"{len(staged)} of {TABLES} tables arrived")


if __name__ == "__main__":
    main()

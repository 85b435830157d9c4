"""Parse splits and keep only counts of what the dictionary describes: one row a split.

Files, archives and their faults are dealt with as in a batch, by the same parse.
"""

from collections.abc import Sequence

import pyarrow as pa
from pyspark.sql import SparkSession

from al3spark.al3.coverage import Observer, Seen
from al3spark.spark.isolation import choose_parse
from al3spark.spark.jobs import collect, each_number
from al3spark.spark.splits import Sealed, Split
from al3spark.spark.tasks import Batches, ParseTask, SplitTotals, Task

MEASURED = "totals binary, seen binary"


def make_measure(task: ParseTask, splits: tuple[Split, ...]) -> Task:
    """Make the function that parses splits by their ids and counts."""
    sealed, parse_one = Sealed.seal(splits), choose_parse(task)

    def measure(ids: Batches) -> Batches:
        for batch in ids:
            for split_id in batch.column(0).to_pylist():
                observer = Observer(task.dictionary)
                for block in parse_one(task, sealed.open(split_id)):
                    if isinstance(block, SplitTotals):
                        row = {"totals": [block.to_bytes()], "seen": [observer.seen.to_bytes()]}
                        yield pa.RecordBatch.from_pydict(row)
                    else:
                        observer.look(block)

    return measure


def measure_files(
    spark: SparkSession, task: ParseTask, splits: Sequence[Split]
) -> tuple[tuple[SplitTotals, ...], Seen]:
    """Give the totals of all splits, in their order, and what was seen in them together."""
    rows = collect(spark, each_number(spark, len(splits), make_measure(task, tuple(splits)), MEASURED))
    totals = [SplitTotals.from_bytes(bytes(row["totals"])) for row in rows]
    seen = Seen()
    for row in rows:
        seen.add(Seen.from_bytes(bytes(row["seen"])))
    return tuple(sorted(totals, key=lambda split: split.split_id)), seen

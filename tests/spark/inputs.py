"""What tasks are given: files of a folder as splits, and numbers."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from al3spark.al3.archives import Limits
from al3spark.spark.splits import InputFile, Split
from al3spark.spark.tasks import ParseTask
from al3spark.store.places import open_place
from tests.al3.samples import DICTIONARY


def parse_task(source: Path, window: int = 4 << 20) -> ParseTask:
    return ParseTask(open_place(str(source)), DICTIONARY, 50, window, Limits())


def split_of(source: Path, *names: str, split_id: int = 0) -> Split:
    place = open_place(str(source))
    files = {file.name: file for file in place.list_files()}
    chosen = [files[name] for name in names or files]
    return Split(
        split_id,
        tuple(
            InputFile(place.uri(file.name), file.name, file.size, file.size, file.version) for file in chosen
        ),
    )


def ids(*numbers: int) -> Iterator[pa.RecordBatch]:
    """What a task gets: the numbers that it is to work on."""
    yield pa.record_batch({"id": pa.array(numbers, pa.int64())})


def rows(batches: Iterator[pa.RecordBatch]) -> list[dict[str, object]]:
    return [row for batch in batches for row in batch.to_pylist()]

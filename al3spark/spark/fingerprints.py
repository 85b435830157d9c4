"""What runs inside tasks before the parse: read files, and members of archives, for their ids.

Out: for each one a row with its number, id, size and form, or the fault that says why there is none. Small
files are read ahead like those of the parse.
"""

from collections.abc import Iterator
from itertools import accumulate, islice

import pyarrow as pa

from al3spark.al3.archives import is_archive, iter_members
from al3spark.al3.inflating import UnreadableError
from al3spark.al3.squeeze import Form
from al3spark.errors import StoreError
from al3spark.spark.reading import Failure, as_failure, read_files, scan
from al3spark.spark.splits import InputFile, Sealed, Split
from al3spark.spark.tasks import Batches, ParseTask, Task
from al3spark.store.retrying import Patience

FINGERPRINTS = (
    "number int, member string, file_id string, size bigint, transcoded boolean, "
    "code string, message string, retryable boolean"
)

_ROWS = 1000
_SCHEMA = pa.schema(
    [
        ("number", pa.int32()),
        ("member", pa.string()),
        ("file_id", pa.string()),
        ("size", pa.int64()),
        ("transcoded", pa.bool_()),
        ("code", pa.string()),
        ("message", pa.string()),
        ("retryable", pa.bool_()),
    ]
)


def make_fingerprint(task: ParseTask, splits: tuple[Split, ...]) -> Task:
    """Make the function that gives each file, or each member of an archive, its id, its size and its form.

    Files are numbered over all splits.
    """
    sealed = Sealed.seal(splits)
    starts = tuple(accumulate((len(split.files) for split in splits), initial=0))

    def fingerprint(ids: Batches) -> Batches:
        for batch in ids:
            for split_id in batch.column(0).to_pylist():
                rows = _read(task, sealed.open(split_id).files, starts[split_id])
                while some := list(islice(rows, _ROWS)):
                    yield pa.RecordBatch.from_pylist(some, _SCHEMA)

    return fingerprint


def _read(task: ParseTask, files: tuple[InputFile, ...], start: int) -> Iterator[dict[str, object]]:
    numbers = {file: number for number, file in enumerate(files, start)}
    patience = Patience(task.retry)
    plain = [file for file in files if not is_archive(file.name)]
    for file, opened in read_files(task.place, plain, task.limits, task.window, patience):
        if isinstance(opened, Failure):
            yield _row(numbers[file], failure=opened)
        elif opened.file_id:  # it was read whole
            found = opened.file_id, opened.form, file.size
            yield _row(numbers[file], found=found)
        else:
            try:
                yield _row(numbers[file], found=scan(opened.windows))
            except StoreError as error:
                yield _row(numbers[file], failure=as_failure(error))
    for file in files:
        if is_archive(file.name):
            yield from _read_archive(task, file, numbers[file])


def _read_archive(task: ParseTask, file: InputFile, number: int) -> Iterator[dict[str, object]]:
    try:
        with task.place.open_stream(file.name, file.version) as archive:
            for member, windows in iter_members(task.place.uri(file.name), archive, task.limits, task.window):
                try:
                    yield _row(number, member.path, found=scan(windows))
                except UnreadableError as error:
                    yield _row(number, member.path, as_failure(error))
    except StoreError as error:
        yield _row(number, failure=as_failure(error))


def _row(
    number: int,
    member: str = "",
    failure: Failure | None = None,
    found: tuple[str, Form, int] = ("", Form(), 0),
) -> dict[str, object]:
    file_id, form, size = found
    fault = (failure.code, failure.message, failure.retryable) if failure else ("", "", False)
    return dict(zip(_SCHEMA.names, (number, member, file_id, size, form.transcoded, *fault), strict=True))

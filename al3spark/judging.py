"""Judge what the tasks of a chunk did, before anything of it is published.

In: a chunk's result and its splits. Out: files that must not be published as they are, and what is left
without them. No I/O but a look into the ledger.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from al3spark.file_rows import FAILED, ChunkRecord, count_statuses
from al3spark.monitoring import Counts
from al3spark.planning import Skipped
from al3spark.spark.pipeline import ChunkResult
from al3spark.spark.splits import InputFile, Split, whole_files
from al3spark.store.ledger import Held, Ledger

MOST_NAMED = 3


def count_chunk(counts: Counts, record: ChunkRecord, published_bytes: int) -> Counts:
    """Count what a chunk decided."""
    ended = count_statuses([record])
    return replace(
        counts,
        completed=counts.completed + ended.total() - ended[FAILED],
        failed=counts.failed + ended[FAILED],
        skipped=counts.skipped + len(record.skipped),
        published_bytes=published_bytes,
        part=0.0,
        chunk_bytes=0,
    )


def find_failed(result: ChunkResult) -> dict[str, tuple[str, str, bool]]:
    """Find files that failed after rows of them had left their task: those rows must not be published.

    A file that is cut and failed is one of them: each of its parts may have told so. Gives what there is to
    tell instead, by path: code and message of the fault, and whether waiting can help.
    """
    parts = Counter(file.path for split in result.totals for file in split.files)
    return {
        file.path: (file.failed, file.reason, file.retryable)
        for file in result.files
        if file.failed and (file.rows or parts[file.path] > 1)
    }


def find_unlike(result: ChunkResult, again: Mapping[str, Held]) -> str:
    """Say which files that are read again are not what they were; "" if all are, or none is read again."""
    ended = {file.path: file for file in result.files}
    unlike = []
    for path, held in again.items():
        file = ended.get(path)
        if file is None or file.failed or file.file_id != held.file_id:
            reason = f"{file.failed}: {file.reason}" if file and file.failed else "has another content now"
            unlike.append(f"{path} ({reason if file else 'is not there any more'})")
    if not unlike:
        return ""
    more = ", ..." if unlike[MOST_NAMED:] else ""
    return (
        f"reprocess: {len(unlike)} files are not what they were, so nothing is replaced: "
        f"{', '.join(unlike[:MOST_NAMED])}{more}"
    )


def find_doubles(
    result: ChunkResult, splits: Sequence[Split], ledger: Ledger, contents: Mapping[str, str]
) -> tuple[Skipped, ...]:
    """Find files whose content turned out to be ingested already, or to be that of a file before them."""
    files = {file.path: file for file in whole_files(splits)}
    first = dict(contents)
    doubles = []
    for ended in result.files:
        if ended.failed:
            continue
        if original := first.get(ended.file_id) or ledger.path_of(ended.file_id):
            file = replace(files[ended.path], file_id=ended.file_id)
            doubles.append(Skipped(file, "same content", duplicate_of=original))
        else:
            first[ended.file_id] = ended.path
    return tuple(doubles)


def without(
    splits: Sequence[Split], failed: Mapping[str, tuple[str, str, bool]], doubles: Collection[str]
) -> tuple[Split, ...]:
    """Leave out doubles; of files that failed only the fault is to be told, once."""

    def is_wanted(file: InputFile) -> bool:
        is_later = bool(file.part and file.part.start)
        return file.path not in doubles and not (file.path in failed and is_later)

    return tuple(
        replace(
            split,
            files=tuple(
                replace(file, failure=failed.get(file.path, file.failure))
                for file in split.files
                if is_wanted(file)
            ),
        )
        for split in splits
    )


def find_crowded(result: ChunkResult, partition_by: Sequence[str], most: int) -> str:
    """Say which table would get more than `most` folders; "" if none would."""
    folders: dict[str, set[str]] = {}
    for staged in result.staged:
        folders.setdefault(staged.table, set()).add(staged.file.final_name.rpartition("/")[0])
    for table, names in sorted(folders.items()):
        if len(names) > most:
            return (
                f"{table} would get {len(names)} folders by {', '.join(partition_by)}, max_partitions is "
                f"{most}: nothing of the chunk is published; partition by less, or allow more"
            )
    return ""

"""Identify files before they are parsed: the Spark jobs that give them ids, and large ones their parts.

In: files of one source. Out: a `Fingerprint` of each file and each member of an archive. Promises: the id of
a file does not depend on how it was read; parts are those of al3/composing.py.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pyspark.sql import SparkSession

from al3spark.al3.archives import is_archive
from al3spark.al3.composing import Composition
from al3spark.al3.trails import Part
from al3spark.spark.fingerprints import FINGERPRINTS, make_fingerprint
from al3spark.spark.jobs import collect, each_number
from al3spark.spark.reading import SEGMENT_BYTES, WHOLE_BYTES
from al3spark.spark.splits import InputFile, pack_splits
from al3spark.spark.surveying import SURVEYS, Range, RangeRead, make_survey, open_read
from al3spark.spark.tasks import ParseTask

_FINGERPRINT_BYTES = 16 << 20  # of a task: it reads and digests only


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What is known of a file, or of a member of an archive, before it is parsed."""

    number: int
    member: str
    file_id: str
    size: int
    transcoded: bool
    code: str = ""
    message: str = ""
    retryable: bool = False
    parts: tuple[Part, ...] = ()


def identify_files(
    spark: SparkSession, task: ParseTask, files: Sequence[InputFile], part_bytes: int
) -> tuple[Fingerprint, ...]:
    """Read files, and every member of archives, for their ids; in the order of the files.

    Plain files over `WHOLE_BYTES` are read in ranges, and cut into parts of about `part_bytes`.
    """
    large = [number for number, file in enumerate(files) if is_large(file)]
    others = [number for number, file in enumerate(files) if not is_large(file)]
    prints = [
        *_read_whole(spark, task, {number: files[number] for number in others}),
        *_survey(spark, task, {number: files[number] for number in large}, part_bytes),
    ]
    return tuple(sorted(prints, key=lambda print_: print_.number))


def is_large(file: InputFile) -> bool:
    """Whether a file is read in ranges, and may be cut."""
    return file.size > WHOLE_BYTES and not is_archive(file.name)


def _read_whole(spark: SparkSession, task: ParseTask, files: dict[int, InputFile]) -> Iterable[Fingerprint]:
    if not files:
        return
    numbers, splits = list(files), pack_splits(files.values(), _FINGERPRINT_BYTES)
    found = collect(spark, each_number(spark, len(splits), make_fingerprint(task, splits), FINGERPRINTS))
    for row in found:
        yield Fingerprint(**{**row.asDict(), "number": numbers[row["number"]]})


def _survey(
    spark: SparkSession, task: ParseTask, files: dict[int, InputFile], part_bytes: int
) -> Iterable[Fingerprint]:
    ranges = [
        Range(
            number,
            file,
            start,
            min(start + SEGMENT_BYTES, file.size),
            part_bytes if file.size > part_bytes else 0,
        )
        for number, file in files.items()
        for start in range(0, file.size, SEGMENT_BYTES)
    ]
    reads: defaultdict[int, list[RangeRead]] = defaultdict(list)
    for asked, read in zip(ranges, _read_ranges(spark, task, ranges), strict=True):
        reads[asked.file].append(read)
    composed = {
        number: Composition(files[number].size, [read.survey for read in found if read.survey])
        for number, found in reads.items()
        if all(read.survey for read in found) and not _is_transcoded(found)
    }
    while lacking := {number: each.lacking for number, each in composed.items() if each.lacking}:
        again = [
            Range(number, files[number], standing.offset, stop, part_bytes, standing)
            for number, (standing, stop) in lacking.items()
        ]
        for asked, read in zip(again, _read_ranges(spark, task, again), strict=True):
            if read.walk:
                composed[asked.file].add(read.walk)
            else:
                reads[asked.file].append(read)
                del composed[asked.file]
    for number, found in reads.items():
        parts = composed[number].parts if number in composed else ()
        yield _as_fingerprint(number, files[number], found, parts)


def _read_ranges(spark: SparkSession, task: ParseTask, ranges: Sequence[Range]) -> list[RangeRead]:
    """Read ranges, one task each; in their order."""
    if not ranges:
        return []
    rows = collect(spark, each_number(spark, len(ranges), make_survey(task, tuple(ranges)), SURVEYS))
    return [open_read(bytes(row["payload"])) for row in sorted(rows, key=lambda row: row["range"])]


def _is_transcoded(reads: Sequence[RangeRead]) -> bool:
    return sum(read.characters for read in reads) > sum(read.strays for read in reads)


def _as_fingerprint(
    number: int, file: InputFile, reads: Sequence[RangeRead], parts: tuple[Part, ...]
) -> Fingerprint:
    failure = next((read.failure for read in reads if read.failure), None)
    if failure:
        return Fingerprint(number, "", "", file.size, False, failure.code, failure.message, failure.retryable)
    digest = hashlib.blake2b(b"".join(read.digest for read in reads), digest_size=16)
    return Fingerprint(number, "", digest.hexdigest(), file.size, _is_transcoded(reads), parts=parts)

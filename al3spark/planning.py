"""What a batch reads: the listing without what the ledger knows and without duplicates.

In: a listing, a ledger, a Spark session for fingerprints. Out: a `Selection`. Promises: of equal contents one
file is read, in listing order, unless the ledger has the content already; nothing is dropped without a
reason.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from pyspark.sql import SparkSession

from al3spark.al3.archives import is_archive
from al3spark.errors import StoreError
from al3spark.spark.identifying import Fingerprint, identify_files, is_large
from al3spark.spark.reading import Failure, as_failure
from al3spark.spark.splits import InputFile
from al3spark.spark.tasks import ParseTask
from al3spark.store.ledger import Ledger, no_ledger
from al3spark.store.naming import StoredFile
from al3spark.store.places import Place

TOO_YOUNG = "too young"
_FINDERS = 16


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that is not read.

    `duplicate_of`: the path with the same content. `known`: there is nothing to tell the ledger.
    """

    file: InputFile
    reason: str
    duplicate_of: str | None = None
    known: bool = False

    @property
    def young(self) -> bool:
        """Whether the file waits for the next run."""
        return self.reason == TOO_YOUNG


@dataclass(frozen=True, slots=True)
class Selection:
    """What to read and what not, in listing order; `archives`: those whose members are among both."""

    files: tuple[InputFile, ...]
    skipped: tuple[Skipped, ...]
    archives: tuple[InputFile, ...] = ()


def list_inputs(source: Place, pattern: str, names: Sequence[str] = ()) -> tuple[InputFile, ...]:
    """List the files of a source, or some by name. StoreError: the source cannot be listed.

    A named file that cannot be had is among them, with its failure.
    """
    if names:
        with ThreadPoolExecutor(_FINDERS) as pool:
            return tuple(pool.map(partial(_find_input, source), names))
    return tuple(_as_input(source, file) for file in source.list_files(pattern))


def drop_known(files: Sequence[InputFile], ledger: Ledger, again: bool) -> Selection:
    """Drop what an earlier batch dealt with: path, size and version are the same.

    Files that failed are dropped too unless waiting can help; `again` takes up all that failed.
    """
    fresh: list[InputFile] = []
    skipped: list[Skipped] = []
    for file, known in zip(files, _look_up(files, ledger), strict=True):
        if known is None or (again and (known == "failed" or _is_unopened(file))):
            fresh.append(file)
        else:
            reason = "failed before" if known == "failed" else "ingested before"
            skipped.append(Skipped(file, reason, known=True))
    return Selection(tuple(fresh), tuple(skipped))


def drop_young(files: Sequence[InputFile], min_age_s: int, now_ns: int) -> Selection:
    """Leave files on disks to the next run that changed less than `min_age_s` ago: they may still grow.

    A clock that is fast by less than that does not matter.
    """

    def is_young(file: InputFile) -> bool:
        changed = _changed_ns(file.version)
        return changed is not None and abs(now_ns - changed) < min_age_s * 10**9

    return Selection(
        tuple(file for file in files if not is_young(file)),
        tuple(Skipped(file, TOO_YOUNG, known=True) for file in files if is_young(file)),
    )


def identify_inputs(
    spark: SparkSession,
    task: ParseTask,
    files: Sequence[InputFile],
    ledger: Ledger | None,
    again: bool,
    part_bytes: int,
) -> Selection:
    """Open archives, give ids to what needs one before the parse, and drop contents that are known.

    Large files are cut into parts of about `part_bytes`.

    Files that are read whole get their id in the parse, unless another file has their size: only then can
    they be equal. Where the ETags of all objects of a size are digests, these must be equal, too; if they
    deceive (as under KMS), the parse finds out. Without a ledger nothing is known.
    """
    ledger = ledger or no_ledger()
    asked = _choose_suspects(files, ledger)
    prints: dict[int, list[Fingerprint]] = {}
    for print_ in identify_files(spark, task, [files[number] for number in asked], part_bytes):
        prints.setdefault(asked[print_.number], []).append(print_)
    unknown: list[InputFile] = []
    for number, file in enumerate(files):
        unknown += [_with_print(file, print_) for print_ in prints[number]] if number in prints else [file]
    members = drop_known(unknown, ledger, again) if prints else Selection(tuple(unknown), ())
    contents = _drop_duplicates(members.files, ledger)
    archives = tuple(
        file
        for number, file in enumerate(files)
        if any(print_.member not in ("", file.path) for print_ in prints.get(number, ()))
    )
    return Selection(contents.files, members.skipped + contents.skipped, archives)


def _as_input(source: Place, file: StoredFile) -> InputFile:
    return InputFile(source.uri(file.name), file.name, file.size, file.size, file.version)


def _find_input(source: Place, name: str) -> InputFile:
    try:
        file = source.find(name)
    except StoreError as error:
        failure = as_failure(error)
    else:
        if file:
            return _as_input(source, file)
        failure = Failure("FILE_UNREADABLE", "no such file", retryable=True)
    return InputFile(
        source.uri(name), name, 0, 0, "", failure=(failure.code, failure.message, failure.retryable)
    )


def _is_digest(version: str) -> bool:
    """Whether a version can be the MD5 of an object, as its ETag."""
    return re.fullmatch("[0-9a-f]{32}", version) is not None


def _changed_ns(version: str) -> int | None:
    """When a file on a disk changed last, in ns since 1970 (see disks.py); None: nobody knows."""
    times = re.fullmatch(r"(\d{1,20})-\d+", version)
    return int(times[1]) if times else None


def _look_up(files: Sequence[InputFile], ledger: Ledger) -> Iterator[str | None]:
    """Say for each file how it ended before, None if it is new or is worth another try."""
    yield from ledger.known(
        [file.path for file in files],
        np.array([file.listed_size for file in files], np.int64),
        [file.version for file in files],
    )


def _is_unopened(file: InputFile) -> bool:
    return is_archive(file.name) and not file.member


def _choose_suspects(files: Sequence[InputFile], ledger: Ledger) -> list[int]:
    sizes = np.array([file.size for file in files], np.int64)
    versions = [file.version for file in files]
    unclear = {file.size for file in files if not _is_digest(file.version)}
    looks = [(file.size, "" if file.size in unclear else file.version) for file in files]
    often = Counter(looks)
    seen = np.where(
        [bool(version) for _, version in looks],
        ledger.versions_known(sizes, versions),
        ledger.sizes_known(sizes),
    )
    return [
        number
        for number, file in enumerate(files)
        if not file.failure
        and (
            is_archive(file.name)
            or is_large(file)
            or (file.size and (often[looks[number]] > 1 or seen[number]))
        )
    ]


def _with_print(file: InputFile, print_: Fingerprint) -> InputFile:
    failure = (print_.code, print_.message, print_.retryable) if print_.code else None
    inside = bool(print_.member) and print_.member != file.path
    return replace(
        file,
        path=print_.member or file.path,
        member=print_.member,
        size=print_.size,
        listed_size=print_.size if inside else file.listed_size,
        file_id=print_.file_id,
        transcoded=print_.transcoded,
        parts=print_.parts,
        failure=failure,
    )


def _drop_duplicates(files: Sequence[InputFile], ledger: Ledger) -> Selection:
    kept: list[InputFile] = []
    skipped: list[Skipped] = []
    first: dict[str, str] = {}
    identified = [file for file in files if file.file_id]
    known = dict(zip(identified, ledger.paths_of([file.file_id for file in identified]), strict=True))
    for file in files:
        original = known.get(file) or first.get(file.file_id)
        if original and file.size:
            skipped.append(Skipped(file, "same content", duplicate_of=original))
        else:
            kept.append(file)
            if file.file_id:
                first[file.file_id] = file.path
    return Selection(tuple(kept), tuple(skipped))

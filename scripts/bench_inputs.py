"""Inputs of shapes that break jobs like this one, all of them valid.

In: a folder that is not there yet, and sizes. Out: the folder with files, and the folder of a dictionary
where one is needed.
"""

import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from bench_corpus import Mould, derive_files, make_moulds

from al3spark.al3.building import Record, build_file
from al3spark.al3.dictionary import load_dictionary
from al3spark.al3.framing import Framer
from al3spark.sampling import sample_bytes

_COPIED = 4 << 20
_LARGE_GROUP = b"6CVA"
_LARGE_SHARE = 9  # bytes of it for each byte of all others
_MOULDS = 12
_GROUPS = 150
_ROWS_PER_GROUP = 3


def write_one_group(folder: Path, size: int, file_bytes: int) -> None:
    """Write files of which one group is 90 percent."""
    folder.mkdir(parents=True)
    moulds = [
        Mould.make(_swell(sample_bytes(file_bytes // (1 + _LARGE_SHARE), seed)), load_dictionary())
        for seed in range(_MOULDS)
    ]
    _write_until(folder, derive_files(moulds, seed=1), size)


def write_many_groups(folder: Path, files: int) -> Path:
    """Write files of 150 groups, a few records of each; give the dictionary that describes them."""
    folder.mkdir(parents=True)
    groups = [f"5{first}{second}X" for first in "ABCDEFGHIJKLMNO" for second in "ABCDEFGHIJ"][:_GROUPS]
    described = folder.with_name(f"{folder.name}-dictionary")
    described.mkdir()
    (described / "groups.csv").write_text(
        "group,table,name,lengths_seen\n"
        + "".join(f"{group},table_{group.lower()},Group {group},80\n" for group in groups)
    )
    (described / "elements.csv").write_text(
        "group,element,start,length,kind,scale,ref_id,element_id,superseded_by,pii,confidence,sources\n"
        + "".join(
            f"{group},text,30,25,text,,,,,,,\n{group},amount,55,12,amount,2,,,,,,\n{group},number,67,13,integer,,,,,,,\n"
            for group in groups
        )
    )
    dictionary = load_dictionary(described)
    for number in range(files):
        records = [Record("1MHG", {"count_unit_code": "1"}), Record("2TRG")]
        for row in range(_ROWS_PER_GROUP):
            records += [
                Record(group, {"text": f"FILE {number}", "number": row}, "F1", 1 + row) for group in groups
            ]
        data = build_file([*records, Record("3MTG")], dictionary)
        (folder / f"{number:05}.al3").write_bytes(data + b" " * number)
    return described


def write_small_files(folder: Path, files: int, size: int = 2000) -> None:
    """Write many files of about 2 KB: a message of one policy without its last groups."""
    moulds = [Mould.make(_shorten(sample_bytes(1, seed), size), load_dictionary()) for seed in range(_MOULDS)]
    rng = np.random.default_rng(1)
    for number in range(files):
        part = folder / f"{number // 1000:04}"
        part.mkdir(parents=True, exist_ok=True)
        (part / f"{number:06}.al3").write_bytes(moulds[number % len(moulds)].cast(rng))


def write_one_transaction(folder: Path, size: int) -> None:
    """Write one file of one transaction: a message that has one 2TRG, before everything else."""
    folder.mkdir(parents=True)
    (whole,) = make_moulds(_COPIED, _COPIED)
    head, *records, trailer = _cut(whole.data.tobytes())
    first = next(record for record in records if record.startswith(b"2TRG"))
    body = Mould.make(b"".join(record for record in records if record[0] >= ord("5")), load_dictionary())
    rng, count = np.random.default_rng(1), 3
    records_each = sum(record[0] >= ord("5") for record in records)
    with (folder / "one.al3").open("wb") as file:
        file.write(head + first)
        while file.tell() < size:
            file.write(body.cast(rng))
            count += records_each
        file.write(_total(trailer, count))


def write_large(folder: Path, together: Path, size: int, files: int) -> None:
    """Write many files, and one with the same bytes."""
    folder.mkdir(parents=True)
    together.mkdir(parents=True)
    file_bytes = size // files
    moulds = make_moulds(size, file_bytes)
    with (together / "large.al3").open("wb") as large:
        for number, data in enumerate(islice(derive_files(moulds, seed=1), files)):
            path = folder / f"{number:05}.al3"
            path.write_bytes(data)
            with path.open("rb") as part:
                shutil.copyfileobj(part, large)


def _write_until(folder: Path, files: Iterator[bytes], size: int) -> None:
    done = number = 0
    while done < size:
        done += (folder / f"{number:06}.al3").write_bytes(next(files))
        number += 1


def _cut(data: bytes) -> list[bytes]:
    """The records of a file of one message whose groups have no separators."""
    frames = Framer().feed(data, final=True)
    return [
        frames.data[start:end]
        for start, end in zip(frames.starts, frames.starts + frames.lengths, strict=True)
    ]


def _total(trailer: bytes, groups: int) -> bytes:
    return trailer[:10] + b"%08d" % groups + trailer[18:]


def _swell(data: bytes) -> bytes:
    """Repeat the records of one group until they are most of a file."""
    head, *records, trailer = _cut(data)
    of_group = sum(len(record) for record in records if record.startswith(_LARGE_GROUP))
    times = max(round(_LARGE_SHARE * (len(data) - of_group) / max(of_group, 1)), 1)
    body = [record * (times if record.startswith(_LARGE_GROUP) else 1) for record in records]
    count = 2 + sum(times if record.startswith(_LARGE_GROUP) else 1 for record in records)
    return b"".join((head, *body, _total(trailer, count)))


def _shorten(data: bytes, size: int) -> bytes:
    """Leave the last records of a file out, but for the trailer."""
    head, *records, trailer = _cut(data)
    while len(records) > 2 and len(head) + sum(map(len, records)) + len(trailer) > size:
        records.pop()
    return b"".join((head, *records, _total(trailer, 2 + len(records))))

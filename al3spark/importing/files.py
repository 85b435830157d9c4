"""A converted export on its way to a directory.

In: rows, a directory, the dictionaries that it is laid over. Promises: both files are there, or none was
written; what is written loads. Raises: RequestError where files are in the way, DictionaryError, StoreError.
"""

import csv
import io
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from al3spark.al3.dictionary import load_dictionary
from al3spark.al3.dictionary.loading import ELEMENTS, GROUPS
from al3spark.errors import RequestError
from al3spark.importing.converting import Converted
from al3spark.store.disks import disk_errors, replace_document

_COLUMNS = tuple(name for name in ELEMENTS.columns if name not in ("group", "element"))


def check_target(directory: Path, replace: bool) -> None:
    """RequestError: there is something that must not be written over."""
    with disk_errors(directory):
        if directory.exists() and not directory.is_dir():
            raise RequestError(f"{directory} is no directory")
        there = [sheet.name for sheet in (GROUPS, ELEMENTS) if (directory / sheet.name).exists()]
    if there and not replace:
        raise RequestError(f"{directory} has {' and '.join(there)} already: name another, or add --replace")


def write_dictionary(converted: Converted, directory: Path, below: Sequence[str]) -> None:
    """Write both files, when they are found to load over the dictionaries `below`."""
    texts = dictionary_files(converted)
    with disk_errors(directory), tempfile.TemporaryDirectory() as trial:
        for name, text in texts.items():
            Path(trial, name).write_bytes(text)
        load_dictionary(*below, trial)
        for name, text in texts.items():
            replace_document(directory / name, text, directory)


def dictionary_files(converted: Converted) -> Mapping[str, bytes]:
    """Give the content of both files by name."""
    groups = [(row.group, row.table, row.title) for row in converted.groups]
    elements = [
        (each.group, each.name, *(getattr(each, name) for name in _COLUMNS)) for each in converted.elements
    ]
    return {
        GROUPS.name: _as_csv(GROUPS.required, groups),
        ELEMENTS.name: _as_csv(("group", "element", *_COLUMNS), elements),
    }


def _as_csv(head: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return text.getvalue().encode()

"""Whether what a run will write can stand beside what earlier runs wrote.

In: a destination and the columns that the run will write. Out: nothing, or a RequestError that names tables,
columns and types. New columns are fine, for all readers take columns by name. One that changes its type would
make its table unreadable as a whole, and so would folders that stand for other columns.
Cheap: `_al3spark/schemas.json` says with which schemas a run last began to write. Who has the same looks no
further; all others read a few footers (schemas.py), as do all where the document is not there.
"""

from collections.abc import Iterator, Sequence

import pyarrow as pa

from al3spark.catalogs.schemas import Planned, Written, read_schemas
from al3spark.errors import RequestError, StoreError
from al3spark.parquet.datafiles import DataFile
from al3spark.store.documents import read_document, to_json
from al3spark.store.places import Place
from al3spark.store.typenames import type_name

NOTE = "_al3spark/schemas.json"
MOST_TOLD = 10
REMEDY = (
    "give the element another name in your dictionary, go back to the dictionary and options of before, or "
    "write to another destination"
)


def check_evolution(place: Place, planned: Planned) -> bool:
    """Raise RequestError if files that are there have other types or folders; say if any could have."""
    if (read_document(place, NOTE) or {}).get("digest") == planned.digest:
        return False
    is_empty = next(place.list_names(""), None) is None  # or not there at all
    changes = [] if is_empty else list(_find_changes(place, planned, read_schemas(place)))
    if changes:
        more = [f"and {len(changes) - MOST_TOLD} more"] if len(changes) > MOST_TOLD else []
        raise RequestError("\n  ".join([*changes[:MOST_TOLD], *more]) + f"; {REMEDY}")
    return True


def note_schemas(place: Place, planned: Planned) -> None:
    """Check once more, now that nobody else writes, and note with what schemas a run begins to write."""
    if check_evolution(place, planned):
        place.write_document(NOTE, to_json({"digest": planned.digest}))


def _find_changes(place: Place, planned: Planned, written: Written) -> Iterator[str]:
    known = {table: files for table, files in written.items() if table in planned.schemas}
    for file in (file for files in known.values() for file, _ in files):
        names = tuple(field.name for field in planned.folders[file.table])
        if file.folder_names != names:
            yield (
                f"table {file.table}: its folders would be by {', '.join(names)} now, but are by "
                f"{', '.join(file.folder_names)} in {place.uri(file.name)}"
            )
            break  # the others are as this one
    for table, files in known.items():
        yield from _find_retypings(place, files, planned.schemas[table])


def _find_retypings(
    place: Place, files: Sequence[tuple[DataFile, pa.Schema]], schema: pa.Schema
) -> Iterator[str]:
    planned = {field.name: field.type for field in schema}
    for file, there in reversed(files):
        for field in there:
            if planned.get(field.name, field.type) != field.type:
                kind = _name(planned.pop(field.name))
                yield (
                    f"table {file.table}: column {field.name} would be {kind} now, but it is "
                    f"{_name(field.type)} in {place.uri(file.name)}"
                )


def _name(kind: pa.DataType) -> str:
    try:
        return type_name(kind, "athena")
    except StoreError:
        return str(kind)

"""The columns of all tables: those that a run would write, and those that are at a destination.

In: a dictionary, or a destination. Out: schemas by table. Of a destination only footers of Parquet files are
read, a few at a time: of each table one file for each set of schemas that jobs wrote, as their manifests tell
them apart. Files whose job left no manifest are told apart by month. Files that were written again, merged
ones among them, are all read: they have the columns of older files, and the job in their name tells none.
Raises: StoreError for a file that is no Parquet, FileChangedError if one is gone meanwhile: look again.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import pyarrow as pa

from al3spark.al3.comments import COMMENT, file_schemas
from al3spark.al3.dictionary import BY_MONTH, BY_YEAR, Dictionary
from al3spark.parquet.datafiles import DataFile, list_data_files, open_parquet, watching
from al3spark.spark.partitions import is_partitioned, without_partitions
from al3spark.store.documents import read_manifest
from al3spark.store.files_table import FILES_SCHEMA, FILES_TABLE
from al3spark.store.places import Place

READERS = 8
_MONTH = len("ingest_date=2026-01")
_FOLDERS = {
    "ingest_date": (pa.date32(), "Day on which the rows were ingested, the folder in which they are"),
    BY_MONTH: (pa.date32(), "First day of the month of transaction_effective_date, a folder"),
    BY_YEAR: (pa.int32(), "Year of transaction_effective_date, a folder"),
}

Written = dict[str, list[tuple[DataFile, pa.Schema]]]  # by table, the oldest file first


@dataclass(frozen=True, slots=True)
class Planned:
    """What a run can write: columns of the files of each table, and those that its folders stand for."""

    schemas: Mapping[str, pa.Schema]
    folders: Mapping[str, tuple[pa.Field, ...]]

    @property
    def digest(self) -> str:
        """A text that is the same for the same columns and types, whatever their comments."""
        told = {
            table: [(field.name, str(field.type)) for field in (*schema, *self.folders[table])]
            for table, schema in self.schemas.items()
        }
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


@lru_cache(maxsize=2)
def plan_tables(dictionary: Dictionary, partition_by: tuple[str, ...] = ()) -> Planned:
    """Give the columns of every table that a run can write, with comments."""
    whole = file_schemas(dictionary.layouts)
    schemas = {table: without_partitions(schema, partition_by) for table, schema in whole.items()}
    folders = {
        table: tuple(
            folder_field(name, schema)
            for name in ("ingest_date", *(partition_by if is_partitioned(schema) else ()))
        )
        for table, schema in {**whole, FILES_TABLE: FILES_SCHEMA}.items()
    }
    return Planned({**schemas, FILES_TABLE: FILES_SCHEMA}, folders)


def folder_field(name: str, schema: pa.Schema) -> pa.Field:
    """Describe a column that folders stand for. `schema`: of the table, which can have the column, too."""
    if name in _FOLDERS:
        kind, told = _FOLDERS[name]
        return pa.field(name, kind, metadata={COMMENT: told.encode()})
    return schema.field(name) if name in schema.names else pa.field(name, pa.string())


def read_schemas(place: Place) -> Written:
    """Give the schemas of files that are at a destination."""
    return read_footers(place, list_data_files(place))


def read_footers(place: Place, files: Iterable[DataFile]) -> Written:
    """Give the schemas of some of these files, of each table all that can differ."""
    newest: dict[tuple[object, ...], tuple[DataFile, pa.Schema]] = {}
    with ThreadPoolExecutor(READERS) as pool:
        chosen = _choose(place, list(files), pool)
        schemas = pool.map(lambda file: _read_schema(place, file.name), chosen)
        for file, schema in zip(chosen, schemas, strict=True):
            newest[_tell_apart(file, schema)] = file, schema
    written: Written = {}
    for file, schema in sorted(newest.values(), key=lambda each: _age(each[0])):
        written.setdefault(file.table, []).append((file, schema))
    return written


def _tell_apart(file: DataFile, schema: pa.Schema) -> tuple[object, ...]:
    """What is the same for files that were written again with the same columns, of which there are many."""
    if file.has_one_job:
        return (file.name,)
    return file.table, file.folder_names, schema.remove_metadata().serialize().to_pybytes()


def _choose(place: Place, files: Sequence[DataFile], pool: ThreadPoolExecutor) -> list[DataFile]:
    """The newest file of each table, set of schemas and set of folders, and all that were written again."""
    own = sorted((file for file in files if file.has_one_job), key=_age)
    jobs = sorted({file.job_id for file in own})
    told = dict(zip(jobs, pool.map(lambda job: _digest_of(place, job), jobs), strict=True))
    newest = {
        (file.table, told[file.job_id] or file.partition[:_MONTH], file.folder_names): file for file in own
    }
    return sorted([*newest.values(), *(file for file in files if not file.has_one_job)], key=_age)


def _age(file: DataFile) -> tuple[str, str, str]:
    return file.ingest_date, file.job_id, file.name


def _digest_of(place: Place, job_id: str) -> str:
    manifest = read_manifest(place, job_id) or {}
    return str(manifest.get("versions", {}).get("schemas") or "")


def _read_schema(place: Place, name: str) -> pa.Schema:
    with watching(place, name), open_parquet(place, name) as parquet:
        return parquet.schema_arrow

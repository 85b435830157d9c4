"""The tables of a destination in a catalog: AWS Glue, which Athena, EMR and Redshift Spectrum read.

In: a destination in S3 and the name of a Glue database. Out: what was registered. Columns, types and comments
are those in the Parquet files (schemas.py), partitions are the folders that have files.
Promises: whatever is there already stays, so that it can be run again and by several: columns and partitions
are added, comments where there are none. A table that is another's, or has a column of another type, is a
RequestError of one line before anything is changed. A table gets new columns after its partitions have them,
so that a run that broke off is made good by the next. What others add is read again right before a table
is written; Glue itself has no lock, so of two that write in the same moment one may need a next run.
Raises: RequestError, StoreError, BatchError.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from al3spark.al3.comments import comment_of
from al3spark.catalogs.schemas import folder_field, read_footers
from al3spark.errors import FileChangedError, RequestError, StoreError
from al3spark.parquet.datafiles import DataFile, list_data_files, unify_schemas
from al3spark.store.glue import Described, GlueDatabase, open_database
from al3spark.store.places import Place
from al3spark.store.typenames import type_name

WORKERS = 4
ATTEMPTS = 3
_HIVE = "org.apache.hadoop.hive.ql.io.parquet"
_FORMAT = {
    "InputFormat": f"{_HIVE}.MapredParquetInputFormat",
    "OutputFormat": f"{_HIVE}.MapredParquetOutputFormat",
    "SerdeInfo": {
        "SerializationLibrary": f"{_HIVE}.serde.ParquetHiveSerDe",
        "Parameters": {"serialization.format": "1"},
    },
}


@dataclass(frozen=True, slots=True)
class Table:
    """A table as it is to be registered. `partitions`: folders below it, by what they stand for."""

    name: str
    comment: str
    location: str
    columns: tuple[Described, ...]
    keys: tuple[Described, ...]
    partitions: Mapping[tuple[str, ...], str]

    def storage(self, columns: Iterable[Described], folder: str = "") -> dict[str, Any]:
        """Where rows are, and what they look like."""
        return {"Columns": list(columns), "Location": f"{self.location}{folder}", **_FORMAT}


def check_place(place: Place) -> None:
    """Raise RequestError if no table of a place can be in Glue."""
    if not place.uri("").startswith("s3://"):
        raise RequestError(f"{place.uri('')}: Glue takes tables in S3 only")


def register_tables(place: Place, database: str, region: str | None = None) -> dict[str, Any]:
    """Register all tables that have files, and their partitions; say what was added."""
    check_place(place)
    tables = _describe_whatever_goes(place)
    glue = open_database(database, region)
    known = glue.list_tables()
    for table in tables:
        _check_table(database, table, known.get(table.name))
    with ThreadPoolExecutor(WORKERS) as pool:
        done = list(pool.map(lambda table: _register(glue, table, known.get(table.name)), tables))
    return {
        "database": database,
        "tables": len(tables),
        "created": [table.name for table, (what, _) in zip(tables, done, strict=True) if what == "created"],
        "updated": [table.name for table, (what, _) in zip(tables, done, strict=True) if what == "updated"],
        "partitions": sum(added for _, added in done),
    }


def _describe_whatever_goes(place: Place) -> list[Table]:
    """Describe all tables; again if a file goes meanwhile, by a compaction or a plan that replaces rows."""
    for _ in range(ATTEMPTS - 1):
        with suppress(FileChangedError):
            return describe_tables(place)
    return describe_tables(place)


def describe_tables(place: Place) -> list[Table]:
    """Describe all tables that have files."""
    files: dict[str, list[DataFile]] = {}
    for file in list_data_files(place):
        files.setdefault(file.table, []).append(file)
    written = read_footers(place, [file for each in files.values() for file in each])
    return [_describe(place, name, files[name], written[name]) for name in sorted(files)]


def _describe(
    place: Place, name: str, files: Sequence[DataFile], written: Sequence[tuple[DataFile, pa.Schema]]
) -> Table:
    names, schemas = [file.name for file, _ in written], [schema for _, schema in written]
    schema = unify_schemas(place, names, schemas, "a table has one type for a column")
    by = {file.folder_names for file in files}
    if len(by) > 1:
        told = " and ".join(sorted(", ".join(each) for each in by))
        raise RequestError(
            f"{place.uri(name)}: has partitions by {told}; a table in Glue has the same in all"
        )
    keys = tuple(_column(folder_field(key, schema)) for key in by.pop())
    taken = {key["Name"] for key in keys}
    partitions = {tuple(value for _, value in file.folder_values): file.partition for file in files}
    columns = tuple(_column(field) for field in schema if field.name not in taken)
    return Table(name, comment_of(schema), place.uri(f"{name}/"), columns, keys, partitions)


def _column(field: pa.Field) -> Described:
    return {"Name": field.name, "Type": type_name(field.type, "athena"), "Comment": comment_of(field)}


def _check_table(database: str, table: Table, known: Described | None) -> None:
    """Refuse a table that is there and is another's, or has other types."""
    if known is None:
        return
    who, there = f"Glue table {database}.{table.name}", known.get("StorageDescriptor", {})
    location = str(there.get("Location", "")).replace("s3a://", "s3://").rstrip("/")
    if location != table.location.rstrip("/"):
        raise RequestError(
            f"{who}: is at {location or 'no place'}, not at {table.location}; name another database"
        )
    keys, wanted = ([key["Name"] for key in each] for each in (known.get("PartitionKeys", ()), table.keys))
    if keys != wanted:
        raise RequestError(
            f"{who}: has partitions by {', '.join(keys)}, not by {', '.join(wanted)}; drop it first"
        )
    types = {column["Name"]: column.get("Type", "") for column in there.get("Columns", ())}
    for column in table.columns:
        if (kind := types.get(column["Name"], column["Type"])) != column["Type"]:
            raise RequestError(
                f"{who}: column {column['Name']} is {kind} there, but {column['Type']} in the files; "
                "drop the table in Glue and register it again"
            )


def _register(glue: GlueDatabase, table: Table, known: Described | None) -> tuple[str, int]:
    """Create or update a table and add its new partitions; say what was done, and how many were added."""
    if known is None:
        if glue.create_table(_new_table(table)):
            return "created", _add_partitions(glue, table, table.columns, ())
        known = _find_table(glue, table)
    done, columns = _update(glue, table, known)
    return done, _add_partitions(glue, table, columns, glue.list_partitions(table.name))


def _new_table(table: Table) -> Described:
    return {
        "Name": table.name,
        "Description": table.comment,
        "TableType": "EXTERNAL_TABLE",
        "Parameters": {"EXTERNAL": "TRUE", "classification": "parquet"},
        "PartitionKeys": list(table.keys),
        "StorageDescriptor": table.storage(table.columns),
    }


def _find_table(glue: GlueDatabase, table: Table) -> Described:
    """What is there now of a table that was there, and can be widened."""
    known = glue.find_table(table.name)
    if known is None:
        raise StoreError(f"Glue table {glue.name}.{table.name}: gone since it was listed; run it again")
    _check_table(glue.name, table, known)
    return known


def _update(glue: GlueDatabase, table: Table, known: Described) -> tuple[str, Sequence[Described]]:
    """Bring a table up to date, with what others add meanwhile; say what was done, and give its columns."""
    while True:
        there = known["StorageDescriptor"]["Columns"]
        columns = list(_merge_columns(there, table.columns))
        if columns == list(there) and (known.get("Description") or not table.comment):
            return "", columns
        if len(columns) > len(there):
            _widen_partitions(glue, table, columns)
        known = _find_table(glue, table)
        if known["StorageDescriptor"]["Columns"] == there:
            break
    glue.update_table(
        {
            **known,
            "Description": known.get("Description") or table.comment,
            "StorageDescriptor": {**known["StorageDescriptor"], "Columns": columns},
        }
    )
    return "updated", columns


def _merge_columns(there: Sequence[Described], columns: Sequence[Described]) -> Iterator[Described]:
    """The columns that are there, with comments where they have none, and then the new ones."""
    told = {column["Name"]: column.get("Comment") for column in columns}
    for column in there:
        comment = column.get("Comment") or told.get(column["Name"])
        yield {**column, "Comment": comment} if comment else column
    known = {column["Name"] for column in there}
    yield from (column for column in columns if column["Name"] not in known)


def _widen_partitions(glue: GlueDatabase, table: Table, columns: Sequence[Described]) -> None:
    """Give the partitions that are there the columns that a table is about to get."""
    wide = [
        {**each, "StorageDescriptor": {**each["StorageDescriptor"], "Columns": list(columns)}}
        for each in glue.list_partitions(table.name, columns=True)
        if len(each["StorageDescriptor"].get("Columns", ())) < len(columns)
    ]
    glue.update_partitions(table.name, wide)


def _add_partitions(
    glue: GlueDatabase, table: Table, columns: Sequence[Described], there: Iterable[Mapping[str, Any]]
) -> int:
    known = {tuple(each["Values"]) for each in there}
    new = [
        {"Values": list(values), "StorageDescriptor": table.storage(columns, f"{folder}/")}
        for values, folder in table.partitions.items()
        if values not in known
    ]
    glue.add_partitions(table.name, new)
    return len(new)

"""Which columns the rows of a job had before they were merged with rows of others that had more.

In: schemas of Parquet files. Out: names of columns, kept in the metadata of a schema, and so in the file
itself. Promises: a file that holds rows of several jobs tells for each job what one of its own told. No I/O.
"""

import json
from collections.abc import Iterable, Mapping

import pyarrow as pa

KEY = b"al3spark.columns"


def columns_of(schema: pa.Schema, job_id: str) -> list[str]:
    """Name the columns that the rows of a job had in the file that the job wrote."""
    found = _read(schema).get(job_id)
    return list(schema.names) if found is None else found


def keep_origins(schema: pa.Schema, merged: Iterable[tuple[pa.Schema, Iterable[str]]]) -> pa.Schema:
    """Put into the schema of a merged file what is merged: the schema of each file, and its jobs."""
    columns = {job: columns_of(before, job) for before, jobs in merged for job in jobs}
    other = {job: names for job, names in sorted(columns.items()) if names != schema.names}
    kept = {name: value for name, value in (schema.metadata or {}).items() if name != KEY}
    return schema.with_metadata({**kept, KEY: json.dumps(other).encode()} if other else kept)


def tells_origins(schema: pa.Schema) -> bool:
    """Whether it is that of a merged file in which jobs have other columns than the file."""
    return bool(origins_of(schema))


def origins_of(schema: pa.Schema) -> dict[bytes, bytes]:
    """What a schema keeps of this in its metadata, for a file to keep it too."""
    return {name: value for name, value in (schema.metadata or {}).items() if name == KEY}


def _read(schema: pa.Schema) -> Mapping[str, list[str]]:
    told = (schema.metadata or {}).get(KEY)
    found: Mapping[str, list[str]] = json.loads(told) if told else {}
    return found

"""The commands that tell others what is in the tables: SQL catalogs, AWS Glue, people.

In: arguments. Out: text or, with --json, one JSON document on standard output; `doc` can write a file. None
of them needs Spark. Errors pass to `cli.main`, which makes lines and exit codes of them.
"""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal

import click

from al3spark.al3.dictionary import Dictionary, load_dictionary
from al3spark.commands.flags import flags
from al3spark.commands.operator_cli import as_json_flag
from al3spark.config import Options
from al3spark.errors import RequestError, StoreError


@click.command()
@click.option(
    "--dialect",
    default="spark",
    show_default=True,
    type=click.Choice(("spark", "athena", "duckdb")),
    help="Whose SQL.",
)
@click.option("--location", metavar="URI", help="Where the tables are: the destination of `ingest`.")
@click.option("--table", help="Only this one.")
@click.option(
    "--glue",
    "database",
    metavar="DATABASE",
    help="Print nothing: register what is at --location with this AWS Glue database, as `catalog` does.",
)
@flags("dictionaries", "pii", "partition_by")
def ddl(
    dialect: Literal["spark", "athena", "duckdb"],
    location: str | None,
    table: str | None,
    database: str | None,
    **options: Any,
) -> None:
    """Print CREATE TABLE for every table, with a comment on each column.

    What `ingest` is told of dictionaries, people and folders decides on columns and types; say the same here.
    """
    from al3spark.catalogs.ddl import ddl_statements
    from al3spark.catalogs.schemas import Planned, plan_tables

    if database is not None:
        if location is None or table is not None:
            raise click.UsageError("--glue takes all tables of a destination: name it by --location.")
        _register(location, database, as_json=False)
        return
    asked = Options(**options)
    planned = plan_tables(_load(asked), tuple(dict.fromkeys(asked.partition_by)))
    if table is not None:
        if table not in planned.schemas:
            raise RequestError(f"no table {table}; `al3spark dictionary list` shows which there are")
        planned = Planned({table: planned.schemas[table]}, planned.folders)
    there = _tables_at(location) if dialect == "spark" and location else ()
    click.echo("\n\n".join(f"{each};" for each in ddl_statements(planned, dialect, location, there)))


def _load(asked: Options) -> Dictionary:
    """Load the dictionary as it is for `ingest`, but for keys: they change no type."""
    from al3spark.al3.privacy import protect
    from al3spark.protection import find_rules

    dictionary = load_dictionary(*asked.dictionaries)
    return protect(dictionary, find_rules(dictionary, asked.pii))


def _tables_at(location: str) -> Collection[str]:
    """The tables that are there; none, and a line that tells, where that cannot be found out."""
    from al3spark.operations import list_tables
    from al3spark.store.places import open_place

    try:
        return list_tables(open_place(location))
    except StoreError as error:
        click.echo(f"al3spark: {error}; partitions are left out, MSCK REPAIR TABLE adds them", err=True)
        return ()


@click.command()
@click.option("-o", "--output", metavar="FILE", help="Write to a file, not to standard output.")
@click.option(
    "--format",
    "form",
    type=click.Choice(("markdown", "html")),
    help="What to write; html where FILE ends in .html, else markdown.",
)
@flags("dictionaries", "pii")
def doc(output: str | None, form: Literal["markdown", "html"] | None, **options: Any) -> None:
    """Write the data dictionary as one page: tables, keys and joins, where each column comes from."""
    from al3spark.catalogs.dictionary_page import compose_page
    from al3spark.catalogs.page_formats import write_html, write_markdown
    from al3spark.store.disks import disk_errors

    page = compose_page(_load(Options(**options)))
    as_html = form == "html" or (form is None and (output or "").lower().endswith((".html", ".htm")))
    text = write_html(page) if as_html else write_markdown(page)
    if output is None:
        click.echo(text, nl=False)
        return
    with disk_errors(output):
        Path(output).write_text(text, encoding="utf-8")


@click.command()
@click.argument("destination")
@click.option(
    "--glue", "database", metavar="DATABASE", required=True, help="An AWS Glue database that is there."
)
@as_json_flag
def catalog(destination: str, database: str, as_json: bool) -> None:
    """Register the tables of DESTINATION and their new partitions with AWS Glue."""
    _register(destination, database, as_json)


def _register(destination: str, database: str, as_json: bool) -> None:
    from al3spark.catalogs.catalog import register_tables
    from al3spark.store.places import open_place

    done = register_tables(open_place(destination), database)
    click.echo(json.dumps(done, indent=2) if as_json else "\n".join(_registered(done)))


def _registered(done: dict[str, Any]) -> list[str]:
    created, updated = done["created"], done["updated"]
    return [
        f"{done['database']}: {done['tables']} tables, {len(created)} created, {len(updated)} updated, "
        f"{done['partitions']} partitions added",
        *(f"  {name}" for name in sorted([*created, *updated])),
    ]


COMMANDS = (catalog,)
DICTIONARY_COMMANDS = (ddl, doc)

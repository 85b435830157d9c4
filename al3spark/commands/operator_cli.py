"""The commands with which an operator looks after a destination.

In: arguments. Out: text or, with --json, one JSON document on standard output. None of them needs Spark.
Errors pass to `cli.main`, which makes lines and exit codes of them.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import click

from al3spark.al3.dictionary import load_dictionary
from al3spark.commands.flags import flags
from al3spark.display import error_lines, export_lines, job_lines, status_lines

WATCH_S = 2.0

as_json_flag = click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output.")


def _show(result: Any, as_json: bool, lines: Callable[[Any], list[str]]) -> None:
    click.echo(json.dumps(result, indent=2) if as_json else "\n".join(lines(result)))


@click.command()
@click.argument("destination")
@as_json_flag
def jobs(destination: str, as_json: bool) -> None:
    """List the jobs of DESTINATION, the newest last."""
    from al3spark.operations import list_status
    from al3spark.store.places import open_place

    _show(list_status(open_place(destination)), as_json, job_lines)


@click.command()
@click.argument("destination")
@click.argument("job", required=False)
@click.option("--watch", is_flag=True, help="Show it again every two seconds, until the job is over.")
@as_json_flag
def status(destination: str, job: str | None, watch: bool, as_json: bool) -> None:
    """Show how JOB, or the newest job of DESTINATION, is doing."""
    from al3spark.operations import RUNNING, find_status
    from al3spark.store.places import open_place

    place = open_place(destination)
    while True:
        found = find_status(place, job)
        if watch and not as_json:
            click.clear()  # nothing where the output is no terminal
        _show(found, as_json, status_lines)
        if not watch or found["status"] not in RUNNING or found["stalled"]:
            return
        job = found["job_id"]
        time.sleep(WATCH_S)


@click.command()
@click.argument("destination")
@click.argument("job")
@as_json_flag
def cancel(destination: str, job: str, as_json: bool) -> None:
    """Ask JOB to end, wherever it runs; what it has published stays."""
    from al3spark.operations import cancel_job
    from al3spark.store.places import open_place

    result = cancel_job(open_place(destination), job)
    _show(result, as_json, lambda done: [f"{done['job_id']} will end within seconds"])


@click.command()
@click.argument("destination")
@click.argument("job", required=False)
@click.option("--code", help="Only faults of this code.")
@click.option("--page", default=1, show_default=True, type=click.IntRange(1), help="Which page of 20.")
@as_json_flag
def errors(destination: str, job: str | None, code: str | None, page: int, as_json: bool) -> None:
    """Page through the faults that JOB, or the newest job of DESTINATION, found."""
    from al3spark.operations import read_errors
    from al3spark.store.places import open_place

    _show(read_errors(open_place(destination), job, code, page), as_json, error_lines)


@click.command()
@click.argument("destination")
@click.argument("job", required=False)
@click.option(
    "-o",
    "--output",
    default="report.html",
    show_default=True,
    metavar="FILE",
    help="Where to write it; - is standard output.",
)
def report(destination: str, job: str | None, output: str) -> None:
    """Write one HTML page on what became of JOB, or of the newest job of DESTINATION; it needs no network."""
    from al3spark.report.gathering import gather_facts
    from al3spark.report.page import make_page
    from al3spark.report.saving import save_page
    from al3spark.store.places import open_place

    facts = gather_facts(open_place(destination), job)
    page = make_page(facts)
    if output == "-":
        click.echo(page.encode(), nl=False)  # UTF-8, whatever the terminal has
        return
    save_page(output, page)
    click.echo(f"{output}: report of {facts.job_id}")


@click.command()
@click.argument("destination")
@as_json_flag
def recover(destination: str, as_json: bool) -> None:
    """Bring to an end what a dead job left; the next `ingest` does it too."""
    from al3spark.operations import recover_destination
    from al3spark.store.places import open_place

    _show(recover_destination(open_place(destination)), as_json, _recovered)


@click.command()
@click.argument("destination")
@click.option(
    "--older-than", "days", required=True, type=click.IntRange(0), help="Days since the end of a job."
)
@as_json_flag
def clean(destination: str, days: int, as_json: bool) -> None:
    """Remove the documents of old jobs and data files that nobody committed, never an open plan."""
    from al3spark.operations import clean_destination
    from al3spark.store.places import open_place

    result = clean_destination(open_place(destination), days)
    _show(result, as_json, _cleaned)


@click.command()
@click.argument("destination")
@click.option("--table", help="Only this one.")
@as_json_flag
def compact(destination: str, table: str | None, as_json: bool) -> None:
    """Merge the small Parquet files of DESTINATION, through a plan like any other."""
    from al3spark.operations import compact_destination
    from al3spark.store.places import open_place

    _show(compact_destination(open_place(destination), table), as_json, _compacted)


@click.command()
@click.argument("destination")
@click.option(
    "--dialect",
    default="spark",
    show_default=True,
    type=click.Choice(("spark", "athena", "duckdb")),
    help="Whose SQL; for athena the tables must be registered under their names.",
)
@flags("dictionaries")
def views(
    destination: str, dialect: Literal["spark", "athena", "duckdb"], dictionaries: tuple[str, ...]
) -> None:
    """Print SQL that makes a view of each table of DESTINATION, `current_files`, and views for analysts."""
    from al3spark.catalogs.views import view_statements
    from al3spark.operations import list_tables
    from al3spark.store.places import open_place

    dictionary, place = load_dictionary(*dictionaries), open_place(destination)
    tables = () if dialect == "athena" else list_tables(place)
    statements = view_statements(place.uri(""), tables, dialect, dictionary)
    click.echo("\n".join(f"{each};" for each in statements))


def _refuse_empty(context: click.Context, option: click.Parameter, path: Path | None) -> Path | None:
    """Refuse a text without a character, which would be the folder at hand."""
    if path == Path():
        raise click.BadParameter("It is empty.", context, option)
    return path


@click.command()
@click.argument("destination")
@click.option(
    "--format",
    "form",
    default="csv",
    show_default=True,
    type=click.Choice(("csv",)),
    help="What files are in the zip.",
)
@click.option(
    "--job", metavar="JOB", help="Whose rows; if not named, those of the newest that published any."
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=_refuse_empty,
    help="A file on this machine, in place of csv/JOB.zip at DESTINATION; works while a batch runs, too.",
)
@as_json_flag
def export(destination: str, form: str, job: str | None, output: Path | None, as_json: bool) -> None:
    """Make a zip of CSV files, one a table, of the rows that JOB published."""
    from al3spark.operations import export_tables
    from al3spark.store.places import open_place

    _show(export_tables(open_place(destination), job, output), as_json, export_lines)


def _cleaned(result: dict[str, Any]) -> list[str]:
    return [
        f"documents of {len(result['removed'])} jobs removed",
        *(f"  {job}" for job in result["removed"]),
        f"{len(result['orphans'])} orphans removed",
        *(f"  {name}" for name in result["orphans"]),
    ]


def _recovered(result: dict[str, Any]) -> list[str]:
    lines = [f"taken over: {job}" for job in result["taken_over"]]
    lines += [f"published: {plan}" for plan in result["published"]]
    lines += [f"rolled back: {plan}" for plan in result["rolled_back"]]
    return [*lines, f"{result['discarded']} staged files discarded"]


def _compacted(result: dict[str, Any]) -> list[str]:
    merged = [f"  {each['table']}/{each['partition']}: {each['files']} files" for each in result["merged"]]
    return [f"{len(merged)} merges", *merged]


COMMANDS = (jobs, status, cancel, errors, report, recover, clean, compact, export, views)

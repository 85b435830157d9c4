"""The command `al3spark`: words to a request, a result to text and an exit code.

In: arguments. Out: text on standard output, progress and errors on standard error. Exit codes: 0 completed or
partial_success, 1 failed, 2 wrong usage, 3 partial_success under --strict, 130 interrupted. Only here an
`Al3Error` becomes one line; anything else is a bug and keeps its traceback. Spark is imported only by
commands that need it.
"""

import json
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import click

import al3spark
from al3spark.al3.dictionary import load_dictionary
from al3spark.config import REPROCESS_FAILED, BatchRequest, Options
from al3spark.display import (
    ProgressLine,
    dictionary_lines,
    findings_lines,
    group_lines,
    preview_lines,
    summary_lines,
)
from al3spark.errors import Al3Error, DictionaryError, RequestError

FAILED, PARTLY, INTERRUPTED = 1, 3, 130

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = Options()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and leave with its exit code."""
    sys.exit(_run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    try:
        return int(cli.main(arguments, prog_name="al3spark", standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("al3spark: interrupted; nothing half done is published", err=True)
        return INTERRUPTED
    except (RequestError, DictionaryError) as error:
        click.echo(f"al3spark: {error}", err=True)
        return click.UsageError.exit_code
    except Al3Error as error:
        click.echo(f"al3spark: {error}", err=True)
        return FAILED
    except BrokenPipeError:
        sys.stderr.close()
        return FAILED


def _reading(command: Command) -> Command:
    """Add the options that say how files are read."""
    for option in (
        click.option(
            "--century-pivot",
            default=_OPTIONS.century_pivot,
            show_default=True,
            help="Two-digit years above it are 19yy, others 20yy.",
        ),
        click.option(
            "--dictionary",
            "dictionaries",
            multiple=True,
            metavar="DIR",
            help="Lay DIR/groups.csv and DIR/elements.csv over the starter dictionary; repeatable.",
        ),
    ):
        command = option(command)
    return command


def _splitting(command: Command) -> Command:
    """Add the options that say how the work is cut."""
    for option in (
        click.option(
            "--master",
            metavar="URL",
            help="Spark master; under spark-submit the cluster's is used. [default: local[*,4]]",
        ),
        click.option(
            "--window-kib",
            default=_OPTIONS.window_kib,
            show_default=True,
            help="How much of a file is read at a time.",
        ),
        click.option(
            "--split-mib",
            default=_OPTIONS.split_mib,
            show_default=True,
            help="How much input one task gets at most.",
        ),
        click.option(
            "--pattern",
            default=_OPTIONS.pattern,
            show_default=True,
            help="Glob for names, or for whole paths if it holds a /.",
        ),
    ):
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(al3spark.__version__, prog_name="al3spark")
def cli() -> None:
    """Turn ACORD AL3 files into joinable Parquet tables, one per record group."""


@cli.command()
@click.argument("source")
@click.argument("destination")
@_splitting
@_reading
@click.option(
    "--chunk-mib",
    type=int,
    help="How much input is published at once. [default: 4096, or four splits a core]",
)
@click.option(
    "--ingest-date", type=click.DateTime(["%Y-%m-%d"]), help="Partition to write. [default: today, UTC]"
)
@click.option(
    "--reprocess", type=click.Choice([REPROCESS_FAILED]), help="Take up again the files that failed earlier."
)
@click.option("--strict", is_flag=True, help="Exit with 3 if any file failed.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print the manifest, and nothing else, on standard output."
)
@click.option("--dry-run", is_flag=True, help="List what would be read; write nothing.")
def ingest(
    source: str,
    destination: str,
    ingest_date: datetime | None,
    strict: bool,
    as_json: bool,
    dry_run: bool,
    **options: Any,
) -> int:
    """Read the AL3 files of SOURCE and write tables to DESTINATION.

    SOURCE is a folder, a file or a glob's folder; .gz and .zip files are opened. What was ingested before is
    skipped, so running it again goes on where it stopped.
    """
    day = ingest_date.date() if ingest_date else None
    request = BatchRequest(source, destination, Options(ingest_date=day, **options))
    from al3spark.batch import prepare, preview, run_batch
    from al3spark.spark.session import open_session

    prepared = prepare(request, writes=not dry_run)
    if dry_run:
        _print_lines(preview_lines(preview(prepared)))
        return 0
    with ProgressLine() as progress, open_session(request.options.master) as spark:
        manifest = run_batch(prepared, spark, progress.show)
    if as_json:
        click.echo(json.dumps(manifest, indent=2))
    else:
        _print_lines(summary_lines(manifest))
    if manifest["status"] == "failed":
        return FAILED
    return PARTLY if strict and manifest["status"] == "partial_success" else 0


@cli.command()
@click.argument("source")
@_splitting
@_reading
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON on standard output.")
def validate(source: str, as_json: bool, **options: Any) -> int:
    """Parse the AL3 files of SOURCE as `ingest` does and write nothing; exit with 1 if there is any error."""
    from al3spark.spark.session import open_session
    from al3spark.validation import validate_source

    with ProgressLine() as progress, open_session(options.get("master")) as spark:
        findings = validate_source(source, Options(**options), spark, progress.show)
    if as_json:
        click.echo(json.dumps(findings, indent=2))
    else:
        _print_lines(findings_lines(findings))
    return FAILED if findings["errors"] else 0


@cli.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@_reading
@click.option(
    "--show-pii", is_flag=True, help="Show names, addresses, numbers and other values that identify people."
)
@click.option("--json", "as_json", is_flag=True, help="Print the tree as JSON.")
def inspect(
    file: str, dictionaries: tuple[str, ...], century_pivot: int, show_pii: bool, as_json: bool
) -> int:
    """Show FILE as a tree of messages, transactions and groups with their values; without Spark."""
    from al3spark.inspection import inspect_file, tree_lines

    trees = inspect_file(Path(file), load_dictionary(*dictionaries), century_pivot, show_pii)
    if as_json:
        click.echo(json.dumps(list(trees), indent=2))
    else:
        for tree in trees:
            _print_lines(tree_lines(tree))
    return 0


@cli.group()
def dictionary() -> None:
    """Look at the layouts of groups, and check your own."""


@dictionary.command("list")
@_reading
def list_groups(dictionaries: tuple[str, ...], century_pivot: int) -> None:
    """List the groups that are known."""
    _print_lines(dictionary_lines(load_dictionary(*dictionaries)))


@dictionary.command("show")
@click.argument("group")
@_reading
def show_group(group: str, dictionaries: tuple[str, ...], century_pivot: int) -> None:
    """Show the elements of GROUP."""
    layout = load_dictionary(*dictionaries).layout(group.upper())
    if layout is None:
        raise RequestError(f"no layout of group {group}; `al3spark dictionary list` shows what there is")
    _print_lines(group_lines(layout))


@dictionary.command("check")
@click.argument("directory", type=click.Path(exists=True, file_okay=False))
def check_dictionary(directory: str) -> None:
    """Check DIRECTORY/groups.csv and DIRECTORY/elements.csv, laid over the starter dictionary."""
    loaded = load_dictionary(directory)
    click.echo(f"{directory} is fine: {len(loaded.layouts)} groups with elements, version {loaded.version}")


@cli.command()
@click.argument("directory")
@click.option("--files", default=50, show_default=True, help="How many files.")
@click.option("--size", "size_kib", default=200, show_default=True, help="About how many KiB each.")
@click.option("--seed", default=1, show_default=True, help="The same seed gives the same bytes.")
@click.option("--damage", default=0.0, show_default=True, help="Which part of the files is broken, 0 to 1.")
def sample(directory: str, files: int, size_kib: int, seed: int, damage: float) -> None:
    """Write made-up AL3 files to DIRECTORY; what was broken stands in _broken.csv there."""
    from al3spark.sampling import write_sample

    if files < 1 or size_kib < 1 or not 0 <= damage <= 1:
        raise RequestError("--files and --size are at least 1, --damage is 0 to 1")
    report = write_sample(Path(directory), files, size_kib, seed, damage)
    click.echo(f"{report.files} files, {report.size / 1e6:.1f} MB, {len(report.broken)} broken, in {directory}")


def _print_lines(lines: Sequence[str]) -> None:
    click.echo("\n".join(lines))


if __name__ == "__main__":
    main()

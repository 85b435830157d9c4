"""The command `al3spark`: words to a request, a result to text and an exit code.

In: arguments. Out: text on standard output, progress and errors on standard error. Exit codes: 0 completed or
partial_success, 1 failed, 2 wrong usage, 3 partial_success under --strict, 130 interrupted (SIGINT), 143
terminated (SIGTERM). Only here an `Al3Error` becomes one line; anything else is a bug and keeps its
traceback. Spark is imported only by commands that need it.
"""

import io
import json
import logging
import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import click
from click.core import ParameterSource

import al3spark
from al3spark.al3.dictionary import load_dictionary
from al3spark.config import Options, Source
from al3spark.display import (
    ProgressLine,
    dictionary_lines,
    findings_lines,
    group_lines,
    preview_lines,
    summary_lines,
)
from al3spark.errors import Al3Error, CancelledError, DictionaryError, RequestError
from al3spark.operator_cli import COMMANDS
from al3spark.options import Option, Range, Words, describe
from al3spark.reporting import LogLines
from al3spark.requests import load_request

FAILED, PARTLY = 1, 3
BY_SIGNAL = 128  # and its number: 130 for SIGINT, 143 for SIGTERM
_COME_AGAIN_S = 0.05

Command = TypeVar("Command", bound=Callable[..., Any])

_DESCRIBED = {option.name: option for option in (*describe(Source), *describe(Options))}
_READING = ("dictionaries", "century_pivot")  # how files are read
_SPLITTING = ("pattern", "split_mib", "window_kib", "master")  # how the work is cut


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and leave with its exit code."""
    sys.exit(_run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    with _signals() as came:
        try:
            return int(cli.main(arguments, prog_name="al3spark", standalone_mode=False) or 0)
        except click.ClickException as error:
            return _complain_of_usage(error)
        except Al3Error as error:
            if not came:
                return _complain_of(error)
        except BaseException:
            if not came:
                raise
    click.echo(nl=sys.stderr.isatty(), err=True)  # where ^C and the last progress stand
    return _complain("interrupted; nothing half done is published", BY_SIGNAL + came[0])


def _complain(text: str, code: int) -> int:
    click.echo(f"al3spark: {text}", err=True)
    return code


def _complain_of(error: Al3Error) -> int:
    if isinstance(error, CancelledError):
        return _complain(str(error), BY_SIGNAL + signal.SIGINT)
    wrong_usage = isinstance(error, RequestError | DictionaryError)
    return _complain(str(error), click.UsageError.exit_code if wrong_usage else FAILED)


def _complain_of_usage(error: click.ClickException) -> int:
    text = error.format_message()
    if text.startswith("Usage:"):  # the whole help, where a command is missing
        error.show()
        return error.exit_code
    context = error.ctx if isinstance(error, click.UsageError) else None
    hint = f" See `{context.command_path} --help`." if context else ""
    return _complain(text + hint, error.exit_code)


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Let the first SIGINT or SIGTERM raise KeyboardInterrupt, and no later one disturb the cleaning up.

    Gives the signals that came. From the first on nothing reaches standard error: often Java got the signal
    too, and all that talk to it complain. A destructor swallows what is raised in it: then the signal comes
    again a little later.
    """
    came: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        came.append(number)
        if len(came) == 1:
            logging.disable()
            sys.stderr = io.StringIO()
            raise KeyboardInterrupt

    def come_again(swallowed: "sys.UnraisableHookArgs") -> None:
        tell(swallowed)
        if came and swallowed.exc_type is KeyboardInterrupt:
            threading.Timer(_COME_AGAIN_S, os.kill, (os.getpid(), came.pop())).start()

    if threading.current_thread() is not threading.main_thread():
        yield came
        return
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    stderr, tell = sys.stderr, sys.unraisablehook
    sys.unraisablehook = come_again
    try:
        yield came
    finally:
        sys.stderr, sys.unraisablehook = stderr, tell
        logging.disable(logging.NOTSET)
        for number, handler in before.items():
            signal.signal(number, handler)


def _flags(*names: str) -> Callable[[Command], Command]:
    """Add the flags of some options, as config.py describes them."""

    def add(command: Command) -> Command:
        for option in reversed([_DESCRIBED[name] for name in names]):
            command = _as_flag(option)(command)
        return command

    return add


def _as_flag(option: Option) -> Callable[[Command], Command]:
    meaning, metavar = option.meaning, option.metavar or None
    if isinstance(option.valid, Range):
        meaning = f"{meaning.removesuffix('.')}; {option.valid}."
    elif isinstance(option.valid, Words):
        metavar = "|".join(option.valid.words)
    if option.kind is bool:
        return click.option(option.flag, option.name, is_flag=True, help=meaning)
    one_command = option.name == "on_finish"
    return click.option(
        option.flag,
        option.name,
        type=shlex.split if one_command else {int: int, float: float}.get(option.kind, str),
        multiple=option.kind is tuple,
        default=option.default,
        show_default=option.unset or option.default not in (None, ()),
        metavar=metavar,
        help=meaning,
    )


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(al3spark.__version__, prog_name="al3spark")
def cli() -> None:
    """Turn ACORD AL3 files into joinable Parquet tables, one per record group."""


@cli.command()
@click.argument("source", required=False)
@click.argument("destination", required=False)
@click.option(
    "--request",
    "document",
    metavar="FILE",
    help="JSON document with the whole request; what is named here overrides it.",
)
@_flags(*_DESCRIBED)
@click.option("--strict", is_flag=True, help="Exit with 3 if any file failed.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print the manifest, and nothing else, on standard output."
)
@click.option("--dry-run", is_flag=True, help="List what would be read; write nothing.")
@click.pass_context
def ingest(
    context: click.Context,
    /,
    source: str | None,
    destination: str | None,
    document: str | None,
    strict: bool,
    as_json: bool,
    dry_run: bool,
    **options: Any,
) -> int:
    """Read the AL3 files of SOURCE and write tables to DESTINATION.

    SOURCE is a folder, a file or a glob's folder; .gz and .zip files are opened. What was ingested before is
    skipped, so running it again goes on where it stopped.
    """
    if document is None and (source is None or destination is None):
        raise click.UsageError("SOURCE and DESTINATION are missing; name them, or a document by --request.")
    given = {
        name: value
        for name, value in options.items()
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT
    }
    request = load_request(document, source, destination, given)
    from al3spark.batch import run_batch
    from al3spark.preparing import prepare, preview
    from al3spark.spark.session import open_session, run_interruptibly

    prepared = prepare(request, writes=not dry_run)
    if dry_run:
        _print_lines(preview_lines(preview(prepared)))
        return 0
    asked = request.options
    log = ProgressLine() if asked.log_format == "text" else LogLines(emf=asked.log_format == "emf")
    with log, open_session(asked.master, asked.parallelism) as spark:
        manifest = run_interruptibly(spark, lambda: run_batch(prepared, spark, log.show))
        log.finish(manifest)
    if as_json:
        click.echo(json.dumps(manifest, indent=2))
    else:
        _print_lines(summary_lines(manifest))
    if manifest["status"] == "failed":
        return FAILED
    return PARTLY if strict and manifest["status"] == "partial_success" else 0


@cli.command()
@click.argument("source")
@_flags(*_SPLITTING, *_READING)
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON on standard output.")
def validate(source: str, pattern: str, as_json: bool, **options: Any) -> int:
    """Parse the AL3 files of SOURCE as `ingest` does and write nothing; exit with 1 if there is any error."""
    from al3spark.spark.session import open_session, run_interruptibly
    from al3spark.store.places import open_place
    from al3spark.validation import validate_source

    asked, how = Source(source, pattern), Options(**options)
    load_dictionary(*how.dictionaries)  # here and below: what is wrong is told before Spark starts
    next(iter(open_place(asked.uri).list_files(asked.pattern)), None)
    with ProgressLine() as progress, open_session(how.master) as spark:
        findings = run_interruptibly(spark, lambda: validate_source(asked, how, spark, progress.show))
    if as_json:
        click.echo(json.dumps(findings, indent=2))
    else:
        _print_lines(findings_lines(findings))
    return FAILED if findings["errors"] else 0


@cli.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@_flags(*_READING)
@click.option(
    "--show-pii", is_flag=True, help="Show names, addresses, numbers and other values that identify people."
)
@click.option("--json", "as_json", is_flag=True, help="Print the tree as JSON.")
def inspect(file: str, show_pii: bool, as_json: bool, **options: Any) -> int:
    """Show FILE as a tree of messages, transactions and groups with their values; without Spark."""
    from al3spark.inspection import inspect_file, tree_lines

    how = Options(**options)
    trees = inspect_file(Path(file), load_dictionary(*how.dictionaries), how.century_pivot, show_pii)
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
@_flags("dictionaries")
def list_groups(dictionaries: tuple[str, ...]) -> None:
    """List the groups that are known."""
    _print_lines(dictionary_lines(load_dictionary(*dictionaries)))


@dictionary.command("show")
@click.argument("group")
@_flags("dictionaries")
def show_group(group: str, dictionaries: tuple[str, ...]) -> None:
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
    from al3spark.store.disks import disk_errors

    with disk_errors(directory):
        report = write_sample(Path(directory), files, size_kib, seed, damage)
    click.echo(
        f"{report.files} files, {report.size / 1e6:.1f} MB, {len(report.broken)} broken, in {directory}"
    )


def _print_lines(lines: Sequence[str]) -> None:
    click.echo("\n".join(lines))


for _command in COMMANDS:
    cli.add_command(_command)


if __name__ == "__main__":
    main()

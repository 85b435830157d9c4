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
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

import click
from click.core import ParameterSource

import al3spark
from al3spark.commands.catalog_cli import COMMANDS as CATALOG_COMMANDS
from al3spark.commands.catalog_cli import DICTIONARY_COMMANDS
from al3spark.commands.flags import DESCRIBED, READING, SPLITTING, flags
from al3spark.commands.format_cli import COMMANDS as FORMAT_COMMANDS
from al3spark.commands.format_cli import dictionary
from al3spark.commands.licensee_cli import COMMANDS as LICENSEE_COMMANDS
from al3spark.commands.operator_cli import COMMANDS as OPERATOR_COMMANDS
from al3spark.config import Options, Source
from al3spark.display import ProgressLine, findings_lines, preview_lines, summary_lines
from al3spark.errors import Al3Error, CancelledError, DictionaryError, RequestError
from al3spark.reporting import LogLines
from al3spark.requests import load_request

FAILED, PARTLY = 1, 3
BY_SIGNAL = 128  # and its number: 130 for SIGINT, 143 for SIGTERM
_COME_AGAIN_S = 0.05


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
@flags(*DESCRIBED)
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

    SOURCE is a folder or a file; .gz and .zip files are opened. What was ingested before is
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
    from al3spark.spark.running import run_interruptibly
    from al3spark.spark.session import open_session

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
@flags(*SPLITTING, *READING)
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON on standard output.")
def validate(source: str, pattern: str, as_json: bool, **options: Any) -> int:
    """Parse the AL3 files of SOURCE as `ingest` does and write nothing; exit with 1 if there is any error."""
    from al3spark.scanning import scan_source
    from al3spark.validation import validate_source

    findings = scan_source(Source(source, pattern), Options(**options), validate_source)
    if as_json:
        click.echo(json.dumps(findings, indent=2))
    else:
        _print_lines(findings_lines(findings))
    return FAILED if findings["errors"] else 0


def _print_lines(lines: Sequence[str]) -> None:
    click.echo("\n".join(lines))


for _command in (*FORMAT_COMMANDS, *OPERATOR_COMMANDS, *CATALOG_COMMANDS):
    cli.add_command(_command)
for _command in (*LICENSEE_COMMANDS, *DICTIONARY_COMMANDS):
    dictionary.add_command(_command)


if __name__ == "__main__":
    main()

"""The commands for people who have a dictionary of their own: make it, and see what it lacks.

In: arguments. Out: text or, with --json, one JSON document on standard output; `import` writes two files.
Only `coverage` needs Spark. Errors pass to `cli.main`, which makes lines and exit codes of them.
"""

import json
from pathlib import Path
from typing import Any

import click

from al3spark.al3.dictionary import load_dictionary
from al3spark.commands.flags import READING, SPLITTING, flags
from al3spark.config import Options, Source
from al3spark.errors import RequestError


@click.command("import")
@click.argument("file", metavar="FILE", required=False, type=click.Path(exists=True, dir_okay=False))
@click.option(
    "--map",
    "map_file",
    type=click.Path(exists=True, dir_okay=False),
    help="TOML or JSON document that says what stands where in FILE.",
)
@click.option(
    "--example-map",
    is_flag=True,
    help="Print a map to begin with, made for FILE as far as its columns tell, and end.",
)
@click.option(
    "-o",
    "--output",
    metavar="DIRECTORY",
    type=click.Path(),
    help="Directory for the two files; none: only report.",
)
@click.option("--replace", is_flag=True, help="Write over the two files that are in DIRECTORY already.")
@click.option(
    "--take-names", is_flag=True, help="Take names from FILE where the loaded dictionary has others."
)
@click.option(
    "--take-kinds", is_flag=True, help="Take kinds from FILE where it tells only text from numbers."
)
@flags("dictionaries")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON on standard output.")
def import_export(
    file: str | None,
    map_file: str | None,
    example_map: bool,
    output: str | None,
    replace: bool,
    take_names: bool,
    take_kinds: bool,
    dictionaries: tuple[str, ...],
    as_json: bool,
) -> None:
    """Turn FILE, a CSV export of a spreadsheet, into groups.csv and elements.csv.

    Tells what is left out, the gaps, and what changes against the loaded dictionary: the starter, and what
    --dictionary lays over it. Elements at the same place keep their names, so that tables stay as they are.
    If FILE cannot be used, all problems are told with their lines and nothing is written.
    """
    if example_map:
        _print_example(file)
        return
    if file is None or map_file is None:
        raise click.UsageError("FILE and --map are needed; FILE --example-map prints a map to begin with.")
    from al3spark.importing.converting import convert
    from al3spark.importing.files import check_target, write_dictionary
    from al3spark.importing.keeping import Taken
    from al3spark.importing.maps import read_map
    from al3spark.importing.telling import report_lines

    how, loaded = read_map(_read_text(map_file), map_file), load_dictionary(*dictionaries)
    target = Path(output) if output else None
    if target:
        check_target(target, replace)
    converted = convert(_read(file), file, how, loaded, Taken(take_names, take_kinds))
    if target:
        write_dictionary(converted, target, dictionaries)
    report = {**converted.report, "written": output}
    click.echo(json.dumps(report, indent=2) if as_json else "\n".join(report_lines(report)))


def _print_example(file: str | None) -> None:
    from al3spark.importing.examples import example_map
    from al3spark.importing.rows import read_head

    found: tuple[list[str], str | None] = read_head(_read(file), file) if file else ([], None)
    click.echo(example_map(*found), nl=False)


def _read(path: str) -> bytes:
    """Read a file or a pipe. StoreError: it cannot be read."""
    from al3spark.store.disks import disk_errors

    with disk_errors(path):
        return Path(path).read_bytes()


def _read_text(path: str) -> str:
    try:
        return _read(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RequestError(f"{path}: not UTF-8 at byte {error.start}") from error


@click.command()
@click.argument("source")
@flags(*SPLITTING, *READING)
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON on standard output.")
def coverage(source: str, pattern: str, as_json: bool, **options: Any) -> None:
    """Say which bytes of the AL3 files of SOURCE the dictionary describes, by group and version.

    What lacks most bytes comes first: gaps between elements, records longer than their layout, groups
    without a layout. Values that do not fit their kind are counted by element, with their shapes.
    """
    from al3spark.coverage import coverage_lines, measure_source
    from al3spark.scanning import scan_source

    found = scan_source(Source(source, pattern), Options(**options), measure_source)
    click.echo(json.dumps(found, indent=2) if as_json else "\n".join(coverage_lines(found)))


COMMANDS = (import_export, coverage)

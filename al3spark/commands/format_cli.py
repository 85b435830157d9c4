"""The commands about the format itself: the layouts of groups, what one file holds, and made-up files.

In: arguments. Out: text or, with --json, one JSON document on standard output; `sample` writes files. None of
them needs Spark or a destination.
Errors pass to `cli.main`, which makes lines and exit codes of them.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from al3spark.al3.dictionary import load_dictionary
from al3spark.commands.flags import READING, flags
from al3spark.config import Options
from al3spark.display import dictionary_lines, group_lines
from al3spark.errors import RequestError


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@flags(*READING)
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


@click.group()
def dictionary() -> None:
    """Look at the layouts of groups, check your own, and describe the tables that they make."""


@dictionary.command("list")
@flags("dictionaries")
def list_groups(dictionaries: tuple[str, ...]) -> None:
    """List the groups that are known."""
    _print_lines(dictionary_lines(load_dictionary(*dictionaries)))


@dictionary.command("show")
@click.argument("group")
@flags("dictionaries")
def show_group(group: str, dictionaries: tuple[str, ...]) -> None:
    """Show the elements of GROUP."""
    layout = load_dictionary(*dictionaries).layout(group.upper())
    if layout is None:
        raise RequestError(f"no layout of group {group}; `al3spark dictionary list` shows what there is")
    _print_lines(group_lines(layout))


@dictionary.command("check")
@click.argument("directory", type=click.Path(exists=True, file_okay=False))
@flags("dictionaries")
def check_dictionary(directory: str, dictionaries: tuple[str, ...]) -> None:
    """Check DIRECTORY/groups.csv and DIRECTORY/elements.csv, laid over the starter and each --dictionary."""
    loaded = load_dictionary(*dictionaries, directory)
    click.echo(f"{directory} is fine: {len(loaded.layouts)} groups with elements, version {loaded.version}")


@click.command()
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


COMMANDS = (inspect, dictionary, sample)

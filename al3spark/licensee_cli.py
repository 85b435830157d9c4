"""The commands for people who have a dictionary of their own: see what it lacks.

In: arguments. Out: text or, with --json, one JSON document on standard output. Errors pass to `cli.main`, which makes lines and exit codes of them.
"""

import json
from typing import Any

import click

from al3spark.config import Options, Source
from al3spark.flags import READING, SPLITTING, flags


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


COMMANDS = (coverage,)

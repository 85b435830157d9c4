"""The table of options in the README is made of what the code says of them."""

from collections.abc import Iterator
from pathlib import Path

import click

from al3spark.cli import cli
from al3spark.config import Archive, Destination, OnFinish, Options, Source
from al3spark.locations import FILES, TYPES, URI
from al3spark.options import Option, describe, tell_valid

README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- options -->\n", "<!-- /options -->\n"
HEAD = ("in a request document", "flag of `ingest`", "meaning", "valid", "default")

Row = tuple[str, str, str, str, str]


def render_table() -> str:
    """The table as Markdown."""
    rows = [HEAD, ("---",) * len(HEAD), *_document_rows(), *_command_rows()]
    return (
        "\n" + "".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |\n" for row in rows) + "\n"
    )


def _document_rows() -> Iterator[Row]:
    yield (
        "`source.type`",
        "",
        "What kind of place it is; the rows below say which key is for which.",
        ", ".join(TYPES),
        "",
    )
    for name in dict.fromkeys(option.name for options in TYPES.values() for option in options):
        same = dict.fromkeys(
            option for options in TYPES.values() for option in options if option.name == name
        )
        yield (
            f"`source.{name}`",
            "",
            " ".join(dict.fromkeys(option.meaning for option in same)),
            tell_valid(next(iter(same))),
            next((told for option in same if (told := _default(option))), ""),
        )
    yield _row("source", URI, "SOURCE")
    for option in describe(Source):
        yield _row("source", option, option.flag)
    yield _row("source", FILES)
    yield ("`destination`", "`DESTINATION`", "The keys of `source` but for `pattern` and `files`.", "", "")
    for option in describe(Destination):
        yield _row("destination", option, option.flag)
    for option in describe(Options):
        yield _row("options", option, option.flag)
        if option.kind in (Archive, OnFinish):
            yield from (_row(f"options.{option.name}", each) for each in describe(option.kind))


def _command_rows() -> Iterator[Row]:
    """What says nothing of the request but how the command behaves."""
    described = {option.name for each in (Source, Destination, Options) for option in describe(each)}
    for parameter in cli.commands["ingest"].params:
        if isinstance(parameter, click.Option) and parameter.name not in described:
            yield ("", f"`{parameter.opts[0]}`", parameter.help or "", "", "")


def _row(where: str, option: Option, flag: str = "") -> Row:
    return (
        f"`{where}.{option.name}`",
        f"`{flag}`" if flag else "",
        option.meaning,
        tell_valid(option),
        _default(option),
    )


def _default(option: Option) -> str:
    if option.unset or option.default in (None, (), ""):
        return option.unset
    if isinstance(option.default, bool):
        return str(option.default).lower()
    return f"`{option.default}`" if isinstance(option.default, str | int | float) else ""


def test_the_table_of_options_in_the_readme_is_that_of_the_code() -> None:
    _, begin, rest = README.read_text().partition(BEGIN)
    table, end, _ = rest.partition(END)
    assert (begin, end) == (BEGIN, END)
    assert table == render_table()


def test_every_option_has_a_flag_of_its_own_name() -> None:
    flags = {name: parameter.opts for parameter in cli.commands["ingest"].params if (name := parameter.name)}
    options = [option for each in (Source, Destination, Options) for option in describe(each)]
    assert [flags.get(option.name) for option in options] == [[option.flag] for option in options]


def test_every_flag_tells_what_it_is_for() -> None:
    options = [each for each in cli.commands["ingest"].params if isinstance(each, click.Option)]
    assert [option.name for option in options if not (option.help or "").endswith(".")] == []

"""The options of a request as flags of a command.

In: names of options as `config` describes them. Out: a decorator that adds their flags, with help, kind and
default; so a command says nothing of an option but its name.
Leaves to others: whether a value is valid. Of that a flag tells only as much as its help does.
"""

import shlex
from collections.abc import Callable
from typing import Any, TypeVar

import click

from al3spark.config import Destination, Options, Source
from al3spark.options import Option, Range, Words, describe

Command = TypeVar("Command", bound=Callable[..., Any])

DESCRIBED = {
    option.name: option for option in (*describe(Source), *describe(Destination), *describe(Options))
}
SPLITTING = ("pattern", "split_mib", "window_kib", "master")  # how the work is cut
READING = ("dictionaries", "century_pivot")  # how files are read


def flags(*names: str) -> Callable[[Command], Command]:
    """Add the flags of some options, by name."""

    def add(command: Command) -> Command:
        for option in reversed([DESCRIBED[name] for name in names]):
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

"""What the README says of maps is what the code says of them."""

import re
from collections.abc import Iterator
from pathlib import Path

from al3spark.importing.maps import TABLES, Columns, Group, ImportMap, Rule, read_map
from al3spark.options import Option, describe, tell_valid

README = (Path(__file__).parent.parent.parent / "README.md").read_text()
BEGIN, END = "<!-- map -->\n", "<!-- /map -->\n"
HEAD = ("in a map", "meaning", "valid", "default")
BELOW = {"columns": Columns, "types": Rule, "groups": Group}

Row = tuple[str, str, str, str]


def render_table() -> str:
    """The table as Markdown."""
    rows = [HEAD, ("---",) * len(HEAD), *_rows()]
    return "\n" + "".join(f"| {' | '.join(row)} |\n" for row in rows) + "\n"


def _rows() -> Iterator[Row]:
    yield from (_row(option.name, option) for option in describe(ImportMap))
    for name, meaning in TABLES.items():
        yield (f"`{name}`", meaning, "", "")
        if name in BELOW:
            prefix = name if name == "columns" else f"{name}.X"
            yield from (_row(f"{prefix}.{option.name}", option) for option in describe(BELOW[name]))


def _row(name: str, option: Option) -> Row:
    default = f"`{option.default}`" if isinstance(option.default, str) else option.unset
    return (f"`{name}`", option.meaning, tell_valid(option), default)


def test_the_table_of_maps_in_the_readme_is_that_of_the_code() -> None:
    _, begin, rest = README.partition(BEGIN)
    table, end, _ = rest.partition(END)
    assert (begin, end) == (BEGIN, END)
    assert table == render_table()


def test_the_map_in_the_readme_is_one() -> None:
    (text,) = re.findall(r"^```toml\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    how = read_map(text, "my-map.toml")
    assert (how.counts_from, how.columns.start, how.types["K"]) == (1, "Position", Rule("code"))

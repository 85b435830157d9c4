"""What the tests of the import share: the invented export of a licensee, and small ones."""

from pathlib import Path

from al3spark.al3.dictionary import Dictionary, load_dictionary
from al3spark.importing.converting import Converted, convert
from al3spark.importing.keeping import Taken
from al3spark.importing.maps import Columns, ImportMap, read_map

HERE = Path(__file__).parent
EXPORT = HERE / "licensee.csv"
MAP = HERE / "licensee.toml"
STARTER = load_dictionary()
SMALL = ImportMap(
    Columns(
        group="G",
        element="E",
        start="S",
        length="L",
        type="T",
        element_id="I",
        superseded_by="R",
        pii="P",
        decimals="D",
    ),
    counts_from=0,
)
HEAD = "G,E,S,L,T,I,R,P,D"


def convert_licensee(loaded: Dictionary = STARTER, taken: Taken = Taken()) -> Converted:  # noqa: B008 - frozen
    """Convert the export of the licensee."""
    how = read_map(MAP.read_text(), MAP.name)
    return convert(EXPORT.read_bytes(), EXPORT.name, how, loaded, taken)


def convert_rows(*rows: str, loaded: Dictionary = STARTER, taken: Taken = Taken()) -> Converted:  # noqa: B008
    """Convert an export of some rows; cells that are missing are empty."""
    padded = [row + "," * (HEAD.count(",") - row.count(",")) for row in rows]
    return convert("\n".join([HEAD, *padded]).encode(), "x.csv", SMALL, loaded, taken)

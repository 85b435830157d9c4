"""The layouts of AL3 groups as data: two CSV files, read and checked once, compiled into frozen values."""

from al3spark.al3.dictionary.layouts import (
    KINDS,
    LEADING_COLUMNS,
    NAME_PARTS,
    Dictionary,
    Element,
    Layout,
    header_length,
)
from al3spark.al3.dictionary.loading import load_dictionary

__all__ = [
    "KINDS",
    "LEADING_COLUMNS",
    "NAME_PARTS",
    "Dictionary",
    "Element",
    "Layout",
    "header_length",
    "load_dictionary",
]

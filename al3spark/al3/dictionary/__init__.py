"""The layouts of AL3 groups as data: CSV files, read and checked once, compiled into frozen values."""

from al3spark.al3.dictionary.layouts import (
    CONTEXT_COLUMNS,
    KINDS,
    LEADING_COLUMNS,
    NAME_PARTS,
    Dictionary,
    Element,
    Layout,
    TransactionKind,
    header_length,
)
from al3spark.al3.dictionary.loading import load_dictionary

__all__ = [
    "CONTEXT_COLUMNS",
    "KINDS",
    "LEADING_COLUMNS",
    "NAME_PARTS",
    "Dictionary",
    "Element",
    "Layout",
    "TransactionKind",
    "header_length",
    "load_dictionary",
]

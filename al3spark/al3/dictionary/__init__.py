"""The layouts of AL3 groups as data: CSV files, read and checked once, compiled into frozen values."""

from al3spark.al3.dictionary.layouts import (
    BY_MONTH,
    BY_YEAR,
    CONTEXT_COLUMNS,
    DROP,
    HASH,
    KEEP,
    KINDS,
    LEADING_COLUMNS,
    MASK,
    NAME_PARTS,
    PARTITION_COLUMNS,
    Dictionary,
    Element,
    Layout,
    TransactionKind,
    header_length,
)
from al3spark.al3.dictionary.loading import load_dictionary

__all__ = [
    "BY_MONTH",
    "BY_YEAR",
    "CONTEXT_COLUMNS",
    "DROP",
    "HASH",
    "KEEP",
    "KINDS",
    "LEADING_COLUMNS",
    "MASK",
    "NAME_PARTS",
    "PARTITION_COLUMNS",
    "Dictionary",
    "Element",
    "Layout",
    "TransactionKind",
    "header_length",
    "load_dictionary",
]

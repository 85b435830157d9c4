"""Type codes of a licensee's file -> the kinds of this dictionary.

In: a code, the length and the decimals of an element. Out: its kind and scale, or ValueError with what is
wrong. `ALIASES` are usual spellings, assumed: whoever has others, or means something else by one of them,
says so in the map. What only tells characters from digits is `vague`: where the loaded dictionary knows
better what stands there, its kind can stay.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from al3spark.al3.dictionary import KINDS
from al3spark.al3.dictionary.checking import LENGTHS
from al3spark.importing.maps import DATE, NUMBER, Rule, normalize

CENTS = 2  # decimals of an amount of which nobody says how many it has
_DATES = {6: "date_yymmdd", 8: "date_ccyymmdd", 4: "month_mmyy", 13: "timestamp", 15: "timestamp"}
_VAGUE = ("text", NUMBER)

_SPELLINGS = {
    "text": "A AN A/N ALPHA ALPHANUMERIC ALPHA-NUMERIC ALPHA/NUMERIC X CHAR CHARACTER STRING STR VARCHAR",
    "code": "CD CODED",
    NUMBER: "N 9 NUM NUMERIC NUMBER INT % PCT PERCENT",
    "decimal": "DEC",
    "amount": "$ AMT CUR CURRENCY MONEY DOLLAR DOLLARS SN NS S9 SIGNED N+ N+/-",
    DATE: "D DT DATE TS DATETIME",
    "date_yymmdd": "YYMMDD",
    "date_ccyymmdd": "CCYYMMDD YYYYMMDD",
    "month_mmyy": "MMYY",
    "time_hhmm": "TM TIME HHMM",
    "flag": "Y/N YN BOOL BOOLEAN LOGICAL",
    "phone": "TEL TELEPHONE",
    "reserved": "FILLER RSV UNUSED",
}
ALIASES: Mapping[str, str] = MappingProxyType(
    {normalize(kind): kind for kind in KINDS if kind != "gap"}
    | {spelling: kind for kind, spellings in _SPELLINGS.items() for spelling in spellings.split()}
)


@dataclass(frozen=True, slots=True)
class Meant:
    """What a type code means for one element. `note`: what was assumed, for the report."""

    kind: str
    scale: int = 0
    vague: bool = False
    note: str = ""


def find_rule(code: str, rules: Mapping[str, Rule]) -> Rule | None:
    """Give what a code means: by the map, else by the usual spellings; None if nobody knows it."""
    known = normalize(code)
    if known in rules:
        return rules[known]
    return Rule(ALIASES[known]) if known in ALIASES else None


def apply_rule(rule: Rule, length: int, decimals: int | None) -> Meant:
    """Give the kind of an element. ValueError: there is none for its length."""
    scale = rule.decimals if decimals is None else decimals
    kind = rule.kind
    if kind == NUMBER:
        kind = "decimal" if scale else "integer"
        if length not in LENGTHS[kind]:
            return Meant("text", vague=True, note="numbers too long for a number are text")
    elif kind == DATE:
        if length not in _DATES:
            raise ValueError(f"is a date of {length} bytes; known are {', '.join(map(str, sorted(_DATES)))}")
        kind = _DATES[length]
    elif kind == "flag" and length != 1:
        return Meant("code", note="flags longer than a byte are codes")
    elif kind == "name" and length != 60:
        return Meant("text", note="names that have not 60 bytes are text")
    elif kind == "amount" and scale is None:
        return Meant(kind, CENTS, note=f"amounts without decimals in the file have {CENTS}")
    return Meant(kind, scale or 0, vague=rule.kind in _VAGUE)

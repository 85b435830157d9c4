"""Policies built once and stamped many times: that is what makes a sample quick to write.

In: the records of one transaction, in which `Varied`, `Premium` and `NetChange` stand for what differs from
one policy to the next, and between the events of one. Out: its bytes, as often as wanted, each time with
other numbers, names, dates and amounts.
Promises: what is stamped is as valid as what was compiled; amounts of one policy keep adding up, because one
factor multiplies all of them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from al3spark.al3.building import Record, build_file
from al3spark.al3.dictionary import Dictionary, Element
from al3spark.sampling.invented import INVENT, Draw
from al3spark.sampling.senders import Sender

_AMOUNT_LENGTH = 12
_PREMIUM, _NET_CHANGE = -1, -2  # holes that are amounts
_MARK = b"|"  # stands in no value


@dataclass(frozen=True, slots=True)
class Varied:
    """Stands for a value that each policy has of its own; equal ones stand for the same value."""

    role: str
    number: int = 1


@dataclass(frozen=True, slots=True)
class Premium:
    """Stands for an amount: whole dollars, of which a policy's factor makes an amount to the cent."""

    dollars: int


@dataclass(frozen=True, slots=True)
class NetChange:
    """Stands for what an event adds to an amount of so many whole dollars."""

    dollars: int


_AMOUNTS = (Premium, NetChange)
_VARYING = (Varied, *_AMOUNTS)
SEQUENCE, PURPOSE, NEW, INCEPTION, EFFECTIVE, EXPIRATION, CHANGED, ISSUED = _GIVEN = tuple(
    map(Varied, ("sequence", "purpose", "new", "inception", "effective", "expiration", "changed", "issued"))
)
"""What an event gives; the rest comes out of INVENT."""


@dataclass(frozen=True, slots=True)
class Event:
    """What happens to a policy. `dates`: of INCEPTION and all that follow it, each of eight digits.

    `cents`: what a dollar of its template is then; `change`: the part of it that is due to the event.
    """

    purpose: bytes
    is_new: bool
    dates: tuple[bytes, ...]
    cents: int
    change: int


@dataclass(frozen=True, slots=True)
class Term:
    """How long a line of business insures, and what a renewal makes of a premium: from, to."""

    days: int
    growth: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Template:
    """A transaction in the form that its sender stores, cut at everything that varies.

    `parts`: the bytes that stay, one more than `holes`: what goes between them, as the index of a value in
    `varied` and the bytes that it takes, or as -1 (a net change: -2) and the whole dollars of an amount.
    `records`, `characters`: what a trailer counts, expanded.
    """

    parts: tuple[bytes, ...]
    holes: tuple[tuple[int, int], ...]
    varied: tuple[Varied, ...]
    term: Term
    records: int
    characters: int


def compile_template(
    records: Iterable[Record], dictionary: Dictionary, sender: Sender, term: Term
) -> Template:
    """Build the records of a transaction as the sender does. Raises ValueError as `build_record` does."""
    parts, varied = [b""], list(_GIVEN)
    holes: list[tuple[int, int]] = []
    count = characters = 0
    for record in records:
        varying, done = _varying(record, dictionary), 0
        built = build_file([_settled(record, varying)], dictionary, sender.separator)
        count, characters = count + 1, characters + int(built[4:7])
        for element in varying:
            value = record.values[element.name]
            if isinstance(value, Premium):
                holes.append((_PREMIUM, value.dollars))
            elif isinstance(value, NetChange):
                holes.append((_NET_CHANGE, value.dollars))
            elif isinstance(value, Varied):
                varied += [] if value in varied else [value]
                holes.append((varied.index(value), element.length))
            parts[-1] += built[done : element.start]
            parts.append(b"")
            done = element.end
        parts[-1] += built[done:]
    coded = tuple(sender.encode(part) for part in parts)
    return Template(coded, tuple(holes), tuple(varied), term, count, characters)


def draw_values(template: Template, draw: Draw) -> tuple[bytes, ...]:
    """Invent what a policy of a template has of its own, whatever happens to it."""
    return tuple(INVENT[varied.role](draw) for varied in template.varied[len(_GIVEN) :])


def stamp(
    template: Template, sender: Sender, invented: Sequence[bytes], event: Event, sequence: int
) -> bytes:
    """Make a transaction of a template; `sequence` is its number in its message."""
    is_new = b"Y" if event.is_new else b"N"
    values = (b"%04d" % (sequence % 10_000), event.purpose, is_new, *event.dates, *invented)
    factors = {_PREMIUM: event.cents, _NET_CHANGE: event.change}
    # A date of eight digits also stands where six are wanted; all else is shorter than its element.
    filled = [
        _amount(size * factors[which]) if which < 0 else values[which][-size:].ljust(size)
        for which, size in template.holes
    ]
    # One call for all of them, because it is what takes the time; what is behind the last part is empty.
    between = sender.encode(_MARK.join([*filled, b""])).split(_MARK)
    return b"".join(chain.from_iterable(zip(template.parts, between, strict=True)))


def _amount(cents: int) -> bytes:
    return b"%011d%b" % (abs(cents), b"-" if cents < 0 else b"+")


def _varying(record: Record, dictionary: Dictionary) -> list[Element]:
    layout = dictionary.layout(record.group)
    elements = layout.elements if layout else ()
    return [each for each in elements if isinstance(record.values.get(each.name), _VARYING)]


def _settled(record: Record, varying: list[Element]) -> Record:
    """Put blanks where something varies."""
    for element in varying:
        if isinstance(record.values[element.name], _AMOUNTS) and element.length != _AMOUNT_LENGTH:
            raise ValueError(f"{record.group}.{element.name}: a premium has {_AMOUNT_LENGTH} bytes")
    return replace(record, values={**record.values, **{each.name: b"" for each in varying}})

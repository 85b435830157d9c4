"""What is new in the elements of a group against those that the loaded dictionary has, and what is missing.

In: settled elements and a layout. Out: changes and gaps, by element. An element is the same as a loaded one
at the same place, else with the same element id, else of the same name. Raises nothing.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from al3spark.al3.dictionary import Element, Layout
from al3spark.al3.dictionary.loading import fill_gaps
from al3spark.importing.drafts import Draft
from al3spark.importing.keeping import Settled

NEW, GONE, MOVED, LONGER, SHORTER, KIND, RENAMED = (
    "new",
    "gone",
    "moved",
    "longer",
    "shorter",
    "other kind",
    "renamed",
)
LEAST_KNOWN = 4  # elements that it takes to say where a file counts from
FARTHEST = 30  # bytes: a header


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one element. `line`: where the file describes it, 0 for one that is gone."""

    what: str
    element: str
    line: int
    text: str


def compare(layout: Layout, settled: Sequence[Settled]) -> tuple[Change, ...]:
    """Give all changes of a group, in the order of positions; those that are gone come last."""
    known = [each for each in layout.elements if each.kind != "gap"]
    pairs = _pair(known, settled)
    changes = []
    for each in sorted(settled, key=lambda each: each.element.start):
        old = pairs.get(each.element.name)
        if old is None:
            changes.append(Change(NEW, each.element.name, each.line, _tell(each.element)))
        else:
            told = _differences(old, each.element)
            changes += [Change(what, each.element.name, each.line, text) for what, text in told]
    kept = set(pairs.values())
    return (*changes, *(Change(GONE, old.name, 0, _tell(old)) for old in known if old not in kept))


def find_gaps(group: str, settled: Sequence[Settled]) -> tuple[Element, ...]:
    """Give the bytes between the header and the last element that no element describes."""
    filled = fill_gaps(group, [each.element for each in settled])
    return tuple(each for each in filled if each.kind == "gap")


def find_shift(drafts: Mapping[str, Sequence[Draft]], layouts: Mapping[str, Layout]) -> str:
    """Say so if most elements would be at known places if all began some bytes before or after."""
    shifts: Counter[int] = Counter()
    compared = [draft for group, each in drafts.items() if group in layouts for draft in each]
    for draft in compared:
        known = layouts[draft.group].elements
        shifts.update({draft.start - old.start for old in known if old.length == draft.length})
    near = {shift: count for shift, count in shifts.items() if abs(shift) <= FARTHEST}
    shift = max(near, key=lambda each: (near[each], -abs(each)), default=0)
    count = near.get(shift, 0)
    if not shift or count < LEAST_KNOWN or 2 * count <= len(compared) or count <= 2 * near.get(0, 0):
        return ""
    size = "1 byte" if abs(shift) == 1 else f"{abs(shift)} bytes"
    where = f"{size} {'after' if shift > 0 else 'before'}"
    return (
        f"{count} of {len(compared)} elements of known groups start {where} the place of a loaded one of the "
        "same length: see whether counts_from and counts_in are right"
    )


def _pair(known: Sequence[Element], settled: Sequence[Settled]) -> dict[str, Element]:
    """Names of settled elements to the loaded ones that they are."""
    pairs: dict[str, Element] = {}
    left = list(known)

    def take(is_same: Callable[[Settled, Element], bool]) -> None:
        for each in settled:
            found = next((old for old in left if is_same(each, old)), None)
            if each.element.name not in pairs and found is not None:
                pairs[each.element.name] = found
                left.remove(found)

    take(_has_place)
    take(lambda each, old: bool(old.element_id) and each.element.element_id == old.element_id)
    take(lambda each, old: old.name in (each.element.name, each.said))
    return pairs


def _has_place(each: Settled, old: Element) -> bool:
    new = each.element
    differ = new.element_id and old.element_id and new.element_id != old.element_id
    return (new.start, new.length) == (old.start, old.length) and not differ


def _differences(old: Element, new: Element) -> list[tuple[str, str]]:
    found = []
    if new.start != old.start:
        found.append((MOVED, f"from {_span(old)} to {_span(new)}"))
    if new.length != old.length:
        what = LONGER if new.length > old.length else SHORTER
        found.append((what, f"{old.length} to {new.length} bytes"))
    if (new.kind, new.scale) != (old.kind, old.scale):
        found.append((KIND, f"{_kind(old)} to {_kind(new)}"))
    if new.name != old.name:
        found.append((RENAMED, f"was {old.name}"))
    return found


def _tell(element: Element) -> str:
    return f"{_span(element)}, {_kind(element)}"


def _span(element: Element) -> str:
    return f"{element.start}-{element.end - 1}"


def _kind(element: Element) -> str:
    return f"{element.kind} with {element.scale} decimals" if element.scale else element.kind

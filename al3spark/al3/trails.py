"""What a stretch of a file's records leaves behind for the records after it.

In: the records of a stretch. Out: a `Trail`. Promises: trails of stretches that follow each other add up to
the trail of both (`Trail.then`), so the stretches of a large file can be looked at side by side. A trail from
the beginning of a file says all that must be known to go on at a 2TRG or 1MHG: the open message and what its
trailer will be compared with, and the designators met. Source: FORMAT.md, Records (Envelope) and Hierarchy.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

NONE, UNCERTAIN = -1, -2  # no message or transaction; one that cannot be known
UNCHANGED = -3  # the message is the one that was open before
MHG, TRG, MTG = (int.from_bytes(code, "little") for code in (b"1MHG", b"2TRG", b"3MTG"))

_COUNTS_GROUPS_AT = 97  # 1MHG, count unit code: `1` if the trailer counts groups, not characters

Met = tuple[tuple[bytes, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Trail:
    """What a stretch leaves behind.

    `message`: offset of the 1MHG that is open at its end, NONE, UNCERTAIN or UNCHANGED. `start`: expanded
    offset of the last 1MHG in it, NONE if there is none; `counts_groups`: what that one's trailer counts.
    `records`, `size`: records and their bytes from that 1MHG on, or in all of the stretch. `met`:
    designators, each with the original offset and the length of its first record and the number of records.
    """

    message: int = UNCHANGED
    start: int = NONE
    counts_groups: bool = False
    records: int = 0
    size: int = 0
    met: Met = ()

    def then(self, later: "Trail") -> "Trail":
        """Give the trail of this stretch and the one that follows it."""
        message = self.message if later.message == UNCHANGED else later.message
        met = {code: (offset, length, count) for code, offset, length, count in self.met}
        for code, offset, length, count in later.met:
            first = met.get(code, (offset, length, 0))
            met[code] = first[0], first[1], first[2] + count
        all_met = tuple((code, *first) for code, first in sorted(met.items()))
        if later.start != NONE:
            return Trail(message, later.start, later.counts_groups, later.records, later.size, all_met)
        return Trail(
            message,
            self.start,
            self.counts_groups,
            self.records + later.records,
            self.size + later.size,
            all_met,
        )


BEGINNING = Trail(message=NONE)  # of a file
LOOKAHEAD = 16 << 10  # bytes: more than the search for a record ever looks ahead


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a file, to be parsed on its own: bytes `start` to `stop` of its `file_size`.

    It begins with a 1MHG or 2TRG, to which `before` leads, or with the file; nothing in the file is squeezed
    or transcoded.
    """

    start: int
    stop: int
    file_size: int
    before: Trail = BEGINNING

    @property
    def end(self) -> int:
        """To where it is read: records are found by looking ahead."""
        return min(self.stop + LOOKAHEAD, self.file_size)

    @property
    def is_last(self) -> bool:
        """Whether it ends with the file."""
        return self.stop == self.file_size


def make_trail(
    groups: Ints, offsets: Ints, starts: Ints, lengths: Ints, lost_before: Mask, counts_groups: Ints
) -> Trail:
    """Make the trail of n records that follow each other.

    Shapes: int64[n], as in `Headers`; `lost_before` bool[n + 1], where something unreadable may hide records,
    the last one behind them all; `counts_groups` int64[k], indexes of the 1MHG whose trailers count groups.
    """
    message, _ = spread_messages(groups, offsets, lost_before[:-1], UNCHANGED)
    last = NONE if groups[-1] == MTG else int(message[-1])
    begins = np.flatnonzero(groups == MHG)
    begin = int(begins[-1]) if len(begins) else 0
    codes, firsts, counts = np.unique(groups, return_index=True, return_counts=True)
    return Trail(
        UNCERTAIN if lost_before[-1] else last,
        int(starts[begin]) if len(begins) else NONE,
        bool(len(begins)) and begin in counts_groups,
        len(groups) - begin,
        int(lengths[begin:].sum()),
        tuple(
            (code.to_bytes(4, "little"), int(offsets[first]), int(lengths[first]), count)
            for code, first, count in zip(codes.tolist(), firsts.tolist(), counts.tolist(), strict=True)
        ),
    )


def spread_messages(groups: Ints, offsets: Ints, lost_before: Mask, carried: int) -> tuple[Ints, Ints]:
    """Message of each record (its own for a 1MHG), and what it was just before each record."""
    is_message, is_trailer = groups == MHG, groups == MTG
    closed = np.concatenate([[False], is_trailer[:-1]])
    events = np.full(len(groups), NONE)
    events[lost_before] = UNCERTAIN
    events[is_message] = offsets[is_message]
    message = spread(events, closed | lost_before | is_message, carried)[0]
    before = np.concatenate([[carried], message[:-1]])
    before[closed] = NONE
    before[lost_before] = UNCERTAIN
    return message, before


def spread(events: Ints, changes: Mask, carried: int) -> tuple[Ints, Ints]:
    """Carry the value of each change forward; also give the index of that change, -1 for `carried`."""
    last = np.maximum.accumulate(np.where(changes, np.arange(len(events)), -1))
    return np.where(last >= 0, events[last], carried), last


def trailer_counts_groups(data: bytes, position: int, length: int) -> bool:
    """Whether the trailer of the 1MHG at a position counts groups, not characters."""
    at = position + _COUNTS_GROUPS_AT
    return length > _COUNTS_GROUPS_AT and data[at : at + 1] == b"1"

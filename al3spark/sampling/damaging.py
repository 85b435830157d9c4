"""Ways to break a file, and what the parse should say of each.

In: the pieces of a valid file, expanded. Out: the bytes of the broken file as its sender stores them, and
where it is broken. Promises: the fault named for a damage is among those that it causes, at that offset.
"""

import gzip
from collections.abc import Callable
from dataclasses import dataclass, replace

from al3spark.al3.building import Separator
from al3spark.sampling.senders import Sender

_GARBAGE = b"TRANSFER INTERRUPTED - RESUMED BY OPERATOR"
_TEXT = b"Dear agent, please find enclosed the download of today.\r\nKind regards\r\n" * 4


@dataclass(frozen=True, slots=True)
class Broken:
    """A broken file. `offset`: of the record or the span at fault; None if it is the whole file."""

    data: bytes
    offset: int | None = None


@dataclass(slots=True)
class Pieces:
    """A valid file to break: `expanded` holds 1MHG, transactions and 3MTG of two messages, as pieces."""

    sender: Sender
    expanded: list[bytes]

    @property
    def gap(self) -> int:
        """Bytes between the records of a piece."""
        return 2 if self.sender.separator is Separator.CRLF else 0

    def broken(self, piece: int, position: int = 0) -> Broken:
        """Store the file as it now is; it is broken at a position of a piece, where no run goes on."""
        before = sum(len(self.sender.encode(each)) for each in self.expanded[:piece])
        offset = before + len(self.sender.encode(self.expanded[piece][:position]))
        lead = self.sender.lead
        stored = b"".join(self.sender.encode(each) for each in self.expanded)
        return Broken(lead + stored + self.sender.tail, len(lead) + offset)

    def find(self, piece: int, *groups: bytes) -> tuple[int, int]:
        """Find the first record of one of the groups in a piece: where it starts and ends."""
        start, data = 0, self.expanded[piece]
        while start < len(data):
            end = start + int(data[start + 4 : start + 7])
            if data[start : start + 4] in groups:
                return start, end
            start = end + self.gap
        raise ValueError("a valid transaction has such a record")

    def splice(self, piece: int, start: int, end: int, data: bytes) -> None:
        """Put other bytes in the place of some."""
        whole = self.expanded[piece]
        self.expanded[piece] = whole[:start] + data + whole[end:]

    def last(self, group: bytes) -> int:
        """Number of the last piece that begins with a group."""
        return max(at for at, each in enumerate(self.expanded) if each.startswith(group))


def _truncate(file: Pieces) -> Broken:
    piece = file.last(b"2TRG")
    start, end = file.find(piece, b"5BPI")
    file.expanded = [*file.expanded[:piece], file.expanded[piece][: (start + end) // 2]]
    file.sender = replace(file.sender, tail=b"")
    return file.broken(piece, start)


def _destroy_transaction(file: Pieces) -> Broken:
    piece = file.last(b"2TRG")
    file.splice(piece, 0, 20, b"~" * 20)
    return file.broken(piece)


def _insert_garbage(file: Pieces) -> Broken:
    piece = file.last(b"1MHG")
    file.expanded.insert(piece, _GARBAGE)
    return file.broken(piece)


def _lengthen(file: Pieces) -> Broken:
    """Say three bytes too many: what is left of the next record is unreadable."""
    piece = file.last(b"2TRG")
    start, end = file.find(piece, b"5BIS")
    file.splice(piece, start + 4, start + 7, b"%03d" % (end - start + 3))
    return file.broken(piece, end + 3)


def _spoil_length(file: Pieces) -> Broken:
    piece = file.last(b"2TRG")
    start, _ = file.find(piece, b"5PAY")
    file.splice(piece, start + 4, start + 7, b"O83")
    return file.broken(piece, start)


def _spoil_amount(file: Pieces) -> Broken:
    """Put a letter into the policy's current term amount (5BPI 111, FORMAT.md)."""
    piece = file.last(b"2TRG")
    start, _ = file.find(piece, b"5BPI")
    file.splice(piece, start + 111, start + 123, b"0000012A450+")
    return file.broken(piece, start)


def _drop_trailer(file: Pieces) -> Broken:
    del file.expanded[file.last(b"3MTG")]
    return file.broken(file.last(b"1MHG"))


def _spoil_total(file: Pieces) -> Broken:
    piece = file.last(b"3MTG")
    file.splice(piece, 10, 18, b"00000007")
    return file.broken(piece)


def _drop_parent(file: Pieces) -> Broken:
    """Take the location out: the vehicle or dwelling after it names a parent that is not there."""
    return _drop(file, file.last(b"2TRG"), b"5LAG")


def _drop_header(file: Pieces) -> Broken:
    """Take the first 2TRG of a message out."""
    return _drop(file, file.last(b"1MHG") + 1, b"2TRG")


def _drop(file: Pieces, piece: int, group: bytes) -> Broken:
    start, end = file.find(piece, group)
    file.splice(piece, start, end + file.gap, b"")
    return file.broken(piece, start)


def _misname_parent(file: Pieces) -> Broken:
    piece = file.last(b"2TRG")
    start, _ = file.find(piece, b"5VEH", b"6HRU")
    file.splice(piece, start + 22, start + 26, b"0099")
    return file.broken(piece, start)


def _tear(file: Pieces) -> Broken:
    """End a record inside its second element (5BIS 90-120)."""
    piece = file.last(b"2TRG")
    start, end = file.find(piece, b"5BIS")
    inside = b"\r\n" if file.sender.separator is Separator.CRLF_INSIDE else b""
    torn = file.expanded[piece][start + 7 : start + 100]
    file.splice(piece, start, end, b"5BIS%03d" % (100 + len(inside)) + torn + inside)
    return file.broken(piece, start)


def _cut_gzip(file: Pieces) -> Broken:
    packed = gzip.compress(b"".join(file.expanded), mtime=0)
    return Broken(packed[: len(packed) // 2])


@dataclass(frozen=True, slots=True)
class Damage:
    """A way to break a file. `fault`: the code of what it causes. `suffix`: what the name must end in."""

    name: str
    fault: str
    apply: Callable[[Pieces], Broken]
    suffix: str = ""


DAMAGES = (
    Damage("truncated", "RECORD_TRUNCATED", _truncate),
    Damage("transaction_destroyed", "BYTES_UNREADABLE", _destroy_transaction),
    Damage("garbage_between_messages", "BYTES_UNREADABLE", _insert_garbage),
    Damage("length_wrong", "BYTES_UNREADABLE", _lengthen),
    Damage("length_not_a_number", "LENGTH_INVALID", _spoil_length),
    Damage("amount_invalid", "VALUE_INVALID", _spoil_amount),
    Damage("trailer_missing", "TRAILER_MISSING", _drop_trailer),
    Damage("trailer_total_wrong", "TRAILER_COUNT_MISMATCH", _spoil_total),
    Damage("parent_missing", "PARENT_MISSING", _drop_parent),
    Damage("parent_iteration_wrong", "PARENT_ITERATION_MISMATCH", _misname_parent),
    Damage("transaction_header_missing", "RECORD_OUTSIDE_TRANSACTION", _drop_header),
    Damage("record_cut_short", "GROUP_TOO_SHORT", _tear),
    Damage("empty", "FILE_EMPTY", lambda file: Broken(b"")),
    Damage("text", "FILE_NOT_AL3", lambda file: Broken(_TEXT)),
    Damage("no_zip_file", "FILE_UNREADABLE", lambda file: Broken(b"".join(file.expanded)), ".zip"),
    Damage("gzip_cut", "FILE_UNREADABLE", _cut_gzip, ".gz"),
)

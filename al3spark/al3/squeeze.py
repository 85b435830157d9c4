"""Expand squeezed and transcoded bytes, and keep the way back to the offsets of the original file.

In: the stored bytes of one file, in windows cut anywhere. Out: the expanded bytes that group lengths count,
and an `OffsetMap` from each expanded byte to the stored byte it came from. Promises: the result does not
depend on the cuts; bytes that are no escape and no transcoded character pass unchanged; plain ASCII windows
pass through uncopied. Whether a file was transcoded is a fact about the whole file, so `FormScan` must have
seen it before `Expander` starts. Source: FORMAT.md, Compression and Character set. Raises nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]

_PIECE = 1 << 20  # a squeezed byte may expand 64-fold: expanding piece by piece bounds the memory
_MOST_EXPANDED = 8 << 20  # unless it is clear that a window cannot become larger than this
_MOST_FILLS = 255  # bytes that an escape stands for
_LONGEST = 5  # bytes of the longest coded sequence: C3 BA, two hex digits, a fill

_HEX = np.full(256, 255, np.uint8)
for _value, _digit in enumerate(b"0123456789abcdef"):
    _HEX[_digit] = _HEX[ord(chr(_digit).upper())] = _value
_IS_HEX = _HEX < 16
_IS_FILL = np.isin(np.arange(256), list(b" ?0"))
# What a byte of cp1252 or latin-1 becomes in UTF-8: [lead byte, second byte] is the byte it stands for.
_PAIR = np.zeros((256, 256), np.uint8)
_TRIPLE = np.zeros(
    (256, 256), np.uint8
)  # E2 + second, third; all three-byte characters of cp1252 begin with E2
for _byte in range(0x80, 0x100):
    for _codec in ("latin-1", "cp1252"):
        _text = bytes([_byte]).decode(_codec, errors="ignore").encode()
        if len(_text) == 2:
            _PAIR[_text[0], _text[1]] = _byte
        elif len(_text) == 3:
            _TRIPLE[_text[1], _text[2]] = _byte


@dataclass(frozen=True, slots=True)
class Form:
    """How a whole file is coded: `transcoded` if its single-byte text was turned into UTF-8 on its way."""

    transcoded: bool = False


@dataclass(slots=True)
class FormScan:
    """Count what speaks for and against transcoding, over all windows of a file."""

    characters: int = 0
    strays: int = 0
    _held: bytes = b""
    _started: bool = False

    def feed(self, window: bytes, final: bool = False) -> None:
        """Look at the next window; `final` with the last one (or with b"" after it)."""
        if not self._held and window.isascii():
            self._started = self._started or bool(window)
            return
        data = self._held + window
        if not self._started and len(data) < 3 and not final:
            self._held = data
            return
        if not self._started and data.startswith(b"\xef\xbb\xbf"):
            data = data[3:]
        self._started = True
        codes = np.frombuffer(data, np.uint8)
        high = np.flatnonzero(codes >= 0x80)
        starts, lengths, _ = _characters(codes, high)
        cut = len(data) if final else _safe_cut(len(data), 3, high, starts, lengths)
        inside = int(lengths[starts < cut].sum())
        self.characters += int((starts < cut).sum())
        self.strays += int((high < cut).sum()) - inside
        self._held = data[cut:]

    @property
    def form(self) -> Form:
        """The verdict: transcoded if UTF-8 forms of single-byte letters outnumber other high bytes.

        One damaged byte thus does not change how the rest of a transcoded file is read (assumed).
        """
        return Form(transcoded=self.characters > self.strays)


@dataclass(slots=True)
class RangeScan:
    """Look for codings in a range of a file; `characters`, `strays` and `escapes` of its ranges add up.

    A sequence counts where it begins. `room`: bytes of the range that are left; what is fed beyond them, at
    least 4 bytes unless the file ends, says only how sequences end. A file without escapes that is not
    transcoded passes through an `Expander` unchanged.
    """

    room: int
    starts_file: bool
    characters: int = 0
    strays: int = 0
    escapes: int = 0
    _held: bytes = b""

    def feed(self, window: bytes, final: bool = False) -> None:
        """Look at the next window; `final` with the last one."""
        data = self._held + window
        if self.starts_file and (final or len(data) >= 3):
            bom = 3 * data.startswith(b"\xef\xbb\xbf")
            self.starts_file, self.room, data = False, self.room - bom, data[bom:]
        cut = min(len(data) if final else max(len(data) - _LONGEST + 1, 0), self.room)
        self.room -= cut
        self._held = data[cut:]
        codes = np.frombuffer(data, np.uint8)
        high = np.flatnonzero(codes >= 0x80)
        starts, lengths, _ = _characters(codes, high)
        inside = starts < cut
        self.characters += int(inside.sum())
        self.strays += int((high < cut).sum()) - int(lengths[inside].sum())
        self.escapes += int((_sequences(codes, high, Form())[0] < cut).sum())


def detect_form(data: bytes) -> Form:
    """Find the form of a file that is at hand as a whole."""
    scan = FormScan()
    for at in range(0, len(data), _PIECE):
        scan.feed(data[at : at + _PIECE])
    scan.feed(b"", final=True)
    return scan.form


@dataclass(frozen=True, slots=True)
class OffsetMap:
    """The way from expanded to original offsets; one entry per coded sequence, in file order.

    Shapes: all int64[n]. `start`, `end`: the expanded bytes that the sequence became; `origin`, `origin_end`:
    its own bytes in the original file. The first entry is an empty sequence that fixes the map at its left
    end.
    """

    start: Ints
    end: Ints
    origin: Ints
    origin_end: Ints

    def locate(self, offsets: Ints) -> Ints:
        """Give the original offset of each expanded offset; within a run it is the offset of its escape."""
        if len(self.start) == 1 and self.start[0] == self.end[0]:
            return np.asarray(offsets + (self.origin_end[0] - self.end[0]))
        at = np.maximum(np.searchsorted(self.start, offsets, side="right") - 1, 0)
        return np.where(offsets < self.end[at], self.origin[at], self.origin_end[at] + offsets - self.end[at])

    def since(self, offset: int) -> "OffsetMap":
        """Drop what lies wholly before an expanded offset."""
        first = max(int(np.searchsorted(self.start, offset, side="right")) - 1, 0)
        if not first:
            return self
        return OffsetMap(self.start[first:], self.end[first:], self.origin[first:], self.origin_end[first:])


_UNCHANGED = OffsetMap(*[np.zeros(1, np.int64)] * 4)


@dataclass(slots=True)
class Expander:
    """Expand one file, window by window.

    Counts, in bytes, that must agree: `literal_bytes + coded_bytes` is the stored size, `literal_bytes +
    run_bytes` the expanded size.
    """

    form: Form
    literal_bytes: int = 0
    coded_bytes: int = 0
    run_bytes: int = 0
    offsets: OffsetMap = _UNCHANGED
    _held: bytes = b""

    @property
    def expanded_size(self) -> int:
        """Bytes given out so far."""
        return self.literal_bytes + self.run_bytes

    def feed(self, window: bytes, final: bool = False) -> list[bytes]:
        """Expand the next window into pieces of bounded size; `final` with the last one, or with b""."""
        if not self._held and window.isascii():
            self.literal_bytes += len(window)
            return [window] if window else []
        data = self._held + window
        high = np.flatnonzero(np.frombuffer(data, np.uint8) >= 0x80)
        if len(data) + len(high) * _MOST_FILLS <= _MOST_EXPANDED:
            pieces = [self._expand(data, high, final)]
        else:
            pieces = list(self._expand_pieces(window, final))
        return [piece for piece in pieces if piece]

    def _expand_pieces(self, window: bytes, final: bool) -> Iterator[bytes]:
        for at in range(0, len(window), _PIECE):
            data = self._held + window[at : at + _PIECE]
            high = np.flatnonzero(np.frombuffer(data, np.uint8) >= 0x80)
            yield self._expand(data, high, final and at + _PIECE >= len(window))

    def _expand(self, data: bytes, high: Ints, final: bool) -> bytes:
        codes = np.frombuffer(data, np.uint8)
        starts, lengths, counts, fills = _sequences(codes, high, self.form)
        cut = len(data) if final else _safe_cut(len(data), _LONGEST, high, starts, lengths)
        self._held = data[cut:]
        keep = starts < cut
        if not keep.any():
            self.literal_bytes += cut
            return data[:cut]
        starts, lengths, counts, fills = starts[keep], lengths[keep], counts[keep], fills[keep]
        self._map(starts, lengths, counts)
        coded = int(lengths.sum())
        self.literal_bytes += cut - coded
        self.coded_bytes += coded
        self.run_bytes += int(counts.sum())
        values = codes[:cut].copy()
        repeats = np.ones(cut, np.int64)
        for place in range(_LONGEST):
            repeats[starts[lengths > place] + place] = 0
        ends = starts + lengths - 1
        values[ends] = fills
        repeats[ends] = counts
        return np.repeat(values, repeats).tobytes()

    def _map(self, starts: Ints, lengths: Ints, counts: Ints) -> None:
        origin = self.literal_bytes + self.coded_bytes + starts
        growth = np.cumsum(counts - lengths)
        end = self.expanded_size + starts + lengths + growth
        known = self.offsets
        self.offsets = OffsetMap(
            np.concatenate([known.start, end - counts]),
            np.concatenate([known.end, end]),
            np.concatenate([known.origin, origin]),
            np.concatenate([known.origin_end, origin + lengths]),
        )


def _safe_cut(size: int, longest: int, high: Ints, starts: Ints, lengths: Ints) -> int:
    """Where to stop so that no sequence is cut: before the first undecided high byte of the last bytes."""
    near = high[high > size - longest]
    decided = np.flatnonzero(starts <= size - longest)
    if len(decided):
        near = near[near >= starts[decided[-1]] + lengths[decided[-1]]]
    return int(near[0]) if len(near) else size


def _characters(codes: Bytes, high: Ints) -> tuple[Ints, Ints, Bytes]:
    """Find the UTF-8 forms of cp1252 and latin-1 letters: starts, lengths, the bytes they stand for."""
    if not len(high):
        return high, high, np.empty(0, np.uint8)
    first, second, third = codes[high], _peek(codes, high + 1), _peek(codes, high + 2)
    pair = _PAIR[first, second]
    triple = np.where(first == 0xE2, _TRIPLE[second, third], 0)
    found = (pair | triple) > 0
    lengths = np.where(pair > 0, 2, 3).astype(np.int64)
    return high[found], lengths[found], (pair | triple)[found]


def _sequences(codes: Bytes, high: Ints, form: Form) -> tuple[Ints, Ints, Ints, Bytes]:
    """Find every escape, and every character of a transcoded file: starts, lengths, counts, fills."""
    if form.transcoded:
        starts, widths, letters = _characters(codes, high)
        lone = high[codes[high] == 0xFA]
        starts = np.concatenate([starts, lone])
        widths = np.concatenate([widths, np.ones(len(lone), np.int64)])
        letters = np.concatenate([letters, np.full(len(lone), 0xFA, np.uint8)])
    else:
        first, second = codes[high], _peek(codes, high + 1)
        two = (first == 0xC3) & (second == 0xBA)
        found = two | (first == 0xFA) | (first == 0xB3)
        starts, widths = high[found], np.where(two, 2, 1)[found].astype(np.int64)
        letters = np.full(len(starts), 0xFA, np.uint8)
    digits = _peek(codes, starts + widths), _peek(codes, starts + widths + 1)
    fills = _peek(codes, starts + widths + 2)
    escape = _IS_HEX[digits[0]] & _IS_HEX[digits[1]] & _IS_FILL[fills] & np.isin(letters, [0xFA, 0xB3])
    counts = np.where(escape, _HEX[digits[0]].astype(np.int64) * 16 + _HEX[digits[1]], 1)
    lengths = widths + 3 * escape
    keep = np.flatnonzero(escape | (widths > 1)) if form.transcoded else np.flatnonzero(escape)
    order = keep[np.argsort(starts[keep], kind="stable")]
    return starts[order], lengths[order], counts[order], np.where(escape, fills, letters)[order]


def _peek(codes: Bytes, places: Ints) -> Bytes:
    """Give the bytes at some places, 0 behind the end."""
    found = codes[np.minimum(places, len(codes) - 1)]
    found[places >= len(codes)] = 0
    return found

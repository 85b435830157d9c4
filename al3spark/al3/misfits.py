"""Report values that do not fit, and records that end inside an element, at their place in the original file.

In: which records of a matrix it concerns, and their keys. Out: faults. Promises: a fault holds the shape of a
value, never the value. Raises nothing.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from al3spark.al3.dictionary import Element, Layout
from al3spark.al3.faults import FaultLog, Faults, shape
from al3spark.al3.records import Ints, Keys
from al3spark.al3.squeeze import OffsetMap

Bytes = npt.NDArray[np.uint8]


@dataclass(slots=True)
class Misfits:
    """Reports to `faults`, and the ways from expanded bytes back to the original files.

    `map_bytes`: how much memory these take.
    """

    faults: FaultLog
    map_bytes: int = 0
    _maps: dict[int, OffsetMap] = field(default_factory=dict)
    _added: int = 0

    def add_map(self, offsets: OffsetMap) -> int:
        """Take up a window's way back to the original file; returns its number for `Keys.maps`."""
        last = self._added - 1
        if self._maps.get(last) is offsets:
            return last
        self._maps[self._added] = offsets
        self.map_bytes += _map_bytes(offsets)
        self._added += 1
        return self._added - 1

    def forget(self, before: int | None = None) -> None:
        """Forget all of them, or those with a lower number."""
        for number in [each for each in self._maps if before is None or each < before]:
            self.map_bytes -= _map_bytes(self._maps.pop(number))

    def report_values(self, element: Element, rows: Ints, matrix: Bytes, keys: Keys) -> None:
        """Report that the values of an element do not fit in some rows of a matrix.

        Shapes: `rows` int64[m]; `matrix` uint8[n, bytes of a record]; `keys` of its n records.
        """
        raws = tuple(shape(row.tobytes()) for row in matrix[rows, element.start : element.end])
        self._report("VALUE_INVALID", f"is no {element.kind}", element, keys[rows], element.end, raws)

    def report_torn(self, layout: Layout, keys: Keys, contents: Ints) -> None:
        """Report records that end inside an element. Shape: `contents` int64[n], bytes of the record."""
        for size in np.unique(contents).tolist():
            element = next(each for each in layout.elements if each.start < size < each.end)
            text = f"a record of {size} bytes ends inside the element"
            self._report("GROUP_TOO_SHORT", text, element, keys[contents == size], size)

    def _report(
        self, code: str, text: str, element: Element, keys: Keys, end: int, raws: tuple[str, ...] = ()
    ) -> None:
        """Report an element of some records, up to byte `end` of each."""
        begin = self._locate(keys, element.start)
        self.faults.add(
            Faults(
                code,
                text,
                keys.files,
                keys.offsets,
                begin,
                self._locate(keys, end) - begin,
                element.group,
                element.name,
                element.element_id or None,
                raws,
            )
        )

    def _locate(self, keys: Keys, position: int) -> Ints:
        """Give the original offset of a position in each record."""
        found = np.empty(len(keys.starts), np.int64)
        for number in np.unique(keys.maps).tolist():
            here = keys.maps == number
            found[here] = self._maps[number].locate(keys.starts[here] + position)
        return found


def _map_bytes(offsets: OffsetMap) -> int:
    return 4 * offsets.start.nbytes

"""What follows the layout in records that are longer: kept as it is, byte for byte."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from al3spark.al3.cells import bitmap
from al3spark.al3.records import Bytes, Ints, Window


@dataclass(frozen=True, slots=True)
class Tails:
    """The tails of n records. Shapes: `sizes` int32[n], in bytes; `data` uint8[sum of sizes]."""

    sizes: npt.NDArray[np.int32]
    data: Bytes

    def split(self, row: int) -> tuple["Tails", "Tails"]:
        """Part them before a row."""
        at = int(self.sizes[:row].sum())
        return Tails(self.sizes[:row], self.data[:at]), Tails(self.sizes[row:], self.data[at:])

    def column(self) -> pa.Array:
        """Make a column, null for no tail."""
        count = len(self.sizes)
        if not len(self.data):
            return pa.nulls(count, pa.binary())
        offsets = np.zeros(count + 1, np.int32)
        np.cumsum(self.sizes, out=offsets[1:])
        buffers = [bitmap(self.sizes > 0), pa.py_buffer(offsets), pa.py_buffer(self.data)]
        return pa.Array.from_buffers(pa.binary(), count, buffers)


def cut_tails(window: Window, positions: Ints, contents: Ints, width: int) -> Tails:
    """Cut out what records of `contents` bytes hold from `width` on."""
    sizes = np.maximum(contents - width, 0).astype(np.int32)
    longest = int(sizes.max())
    if not longest:
        return Tails(sizes, np.empty(0, np.uint8))
    matrix = window.cut(positions + width, longest)
    if (sizes == longest).all():
        return Tails(sizes, matrix.ravel())
    return Tails(sizes, matrix[np.arange(longest) < sizes[:, None]])


def join_tails(parts: Sequence[Tails]) -> Tails:
    """Put tails one behind the other."""
    return Tails(
        np.concatenate([part.sizes for part in parts]), np.concatenate([part.data for part in parts])
    )

"""Keep memory between windows: page faults are dear on virtual machines."""

import numpy as np


def keep_freed_memory() -> None:
    """Make glibc keep what is freed for the next window; a page fault costs as much as parsing 200 bytes.

    Memory up to the size of the largest block ever given back is kept (mallopt(3), M_MMAP_THRESHOLD, at most
    32 MiB); this block is never touched, so it costs nothing. Elsewhere it does nothing.
    """
    np.empty(31 << 20, np.uint8)

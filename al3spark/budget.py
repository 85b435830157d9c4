"""How many files of a batch may fail before it stops.

In: counts of what was parsed so far, the chunk at hand included. Out: why to stop, or nothing. Only files
that `failed` count, not faults and not what was skipped. No I/O.
"""

from al3spark.config import FAIL, Options

LEAST_FILES = 20  # of fewer, a ratio says nothing


def find_breach(options: Options, failed: int, parsed: int) -> str:
    """Say why a batch stops in which `failed` of `parsed` files failed; "" if it goes on."""
    if failed and options.on_error == FAIL:
        return f"{_count(failed)} failed, and on_error is {FAIL}"
    if options.max_failed_files is not None and failed > options.max_failed_files:
        return f"{_count(failed)} failed, and max_failed_files is {options.max_failed_files}"
    ratio = options.max_failed_ratio
    if ratio is not None and parsed >= LEAST_FILES and failed > ratio * parsed:
        return f"{failed} of {_count(parsed)} failed, and max_failed_ratio is {ratio:g}"
    return ""


def _count(files: int) -> str:
    return "1 file" if files == 1 else f"{files} files"

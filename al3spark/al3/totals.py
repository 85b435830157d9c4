"""What became of a file, in numbers that must add up: no byte and no record of it is lost."""

from collections import Counter
from dataclasses import dataclass, fields, replace


@dataclass(frozen=True, slots=True)
class FileTotals:
    """What became of one file.

    Units: bytes of the stored (`size`) or expanded file; counts of records, rows and faults.
    `fault_counts`: (code, count) pairs. `failed`: the code of the fault that makes the file fail, "" if none
    does; `reason`: its text; `retryable`: waiting can help.
    """

    path: str
    file_id: str
    size: int = 0
    expanded_size: int = 0
    record_bytes: int = 0
    separator_bytes: int = 0
    unreadable_bytes: int = 0
    literal_bytes: int = 0
    coded_bytes: int = 0
    run_bytes: int = 0
    messages: int = 0
    transactions: int = 0
    records: int = 0
    rows: int = 0
    failed: str = ""
    reason: str = ""
    retryable: bool = False
    fault_counts: tuple[tuple[str, int], ...] = ()

    def plus(self, other: "FileTotals") -> "FileTotals":
        """Give the totals of both: parts of one file that follow each other."""
        counts = Counter(dict(self.fault_counts))
        counts.update(dict(other.fault_counts))
        told = self if self.failed else other
        sums = {name: getattr(self, name) + getattr(other, name) for name in _SUMS}
        return replace(
            told,
            **sums,
            fault_counts=tuple(sorted(counts.items())),
        )

    @property
    def faults(self) -> int:
        """Rows that the file has in `errors`."""
        return sum(count for _, count in self.fault_counts)

    @property
    def imbalance(self) -> str:
        """Say which sum does not add up; "" if all do."""
        sums = (
            ("stored bytes", self.literal_bytes + self.coded_bytes, self.size),
            ("expanded bytes", self.literal_bytes + self.run_bytes, self.expanded_size),
            (
                "covered bytes",
                self.record_bytes + self.separator_bytes + self.unreadable_bytes,
                self.expanded_size,
            ),
            ("rows", self.rows, self.records),
        )
        return "; ".join(f"{name}: {got} of {due}" for name, got, due in sums if got != due)


_SUMS = tuple(each.name for each in fields(FileTotals) if each.type is int)

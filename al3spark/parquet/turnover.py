"""Whose rows go: contents that paths held, and hold no more because they changed or are read again.

In: the ledger, and what the files of a chunk turned out to hold. Out: for each path the content that its row
`replaces`, for the plan that removes these rows. Promises: rows of a content that any path still holds stay.
No I/O but reads of the ledger.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from al3spark.store.ledger import Held, Ledger


@dataclass(slots=True)
class Turnover:
    """What goes while a batch runs.

    `changed`: rows of changed files go (on_changed: replace). `again`: by path, what a reprocessed job wrote:
    that goes in any case. `claimed`: contents that paths hold from this batch on without being read, as
    duplicates.
    """

    ledger: Ledger
    changed: bool = False
    again: Mapping[str, Held] = field(default_factory=dict)
    claimed: set[str] = field(default_factory=set)
    _left: Counter[str] = field(default_factory=Counter)

    def claim(self, file_ids: Iterable[str]) -> None:
        """Say that contents are duplicates of other files of this batch or of the ledger."""
        self.claimed.update(file_ids)

    def replace(self, contents: Mapping[str, str]) -> dict[str, Held]:
        """Tell what goes when paths hold these contents (file_ids) now; call it once for each path."""
        if self.again:
            return {path: self.again[path] for path in contents if path in self.again}
        if not self.changed:
            return {}
        held = zip(contents, self.ledger.held_by(list(contents)), strict=True)
        left = {path: was for path, was in held if was and was.file_id != contents[path]}
        self._left.update(was.file_id for was in left.values())
        ids = list({was.file_id for was in left.values()} - self.claimed)
        gone = {
            file_id
            for file_id, paths in zip(ids, self.ledger.holders(ids), strict=True)
            if paths <= self._left[file_id]
        }
        return {path: was for path, was in left.items() if was.file_id in gone}

"""The records of one transaction as they are put in: levels, iterations and parents are kept right.

In: groups and their values, parents before children. Out: records as `building` takes them, with the
lengths, the version and the `?` of the sender.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from al3spark.al3.building import Record
from al3spark.al3.dictionary import Dictionary
from al3spark.sampling.invented import Town
from al3spark.sampling.senders import Sender
from al3spark.sampling.templates import Varied

Place = tuple[str, str, int]  # what a child names: group, level, iteration
Values = Mapping[str, object]


@dataclass(slots=True)
class Draft:
    """A transaction in the making."""

    sender: Sender
    dictionary: Dictionary
    records: list[Record] = field(default_factory=list)
    _counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def control(self, group: str, values: Values) -> None:
        """Put in a control group."""
        length = self.sender.length(group)
        self.records.append(Record(group, values, version=self.sender.version, length=length))

    def data(self, group: str, level: str, parent: Place | None, values: Values) -> Place:
        """Put in a data group, which gets the next iteration of its level; returns what its children name."""
        length = self.sender.length(group)
        layout = self.dictionary.layout(group)
        if self.sender.unsent and layout is not None:
            end = length or layout.length
            sent = [each for each in layout.elements if each.end <= end and each.kind != "gap"]
            values = {**{each.name: b"?" * each.length for each in sent}, **values}
        return self._put(Record(group, values, level, parent=parent, length=length))

    def unmapped(self, group: str, level: str, parent: Place, raw: bytes) -> None:
        """Put in a data group that the dictionary does not describe."""
        self._put(Record(group, level=level, parent=parent, raw=raw))

    def _put(self, record: Record) -> Place:
        iteration = self.sender.first_iteration + self._counts[record.group, record.level]
        self._counts[record.group, record.level] += 1
        self.records.append(replace(record, iteration=iteration, version=self.sender.version))
        return record.group, record.level, iteration


def address(town: Town) -> Values:
    """Give the elements that the groups with an address have in common."""
    return {
        "street_address_line1": Varied("street"),
        "city": town.city,
        "state_province_abbreviation": town.state,
        "zip_code": town.zip_code,
    }

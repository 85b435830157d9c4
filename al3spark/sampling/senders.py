"""Senders: carriers that never were, each with habits of its own, as FORMAT.md describes them.

A sender has one way to end a group, one way to store a file, old or new record lengths, and so on; together
they show all habits. Out: what a sender is, and the first and the last record of its messages.
"""

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from al3spark.al3.building import Record, Separator, build_file, squeeze, transcode
from al3spark.al3.dictionary import Dictionary
from al3spark.sampling.invented import FIRST_DAY


class Form(enum.Enum):
    """How a sender stores a file (FORMAT.md, Compression and Character set)."""

    PLAIN = "plain"
    SQUEEZED = "squeezed"
    SQUEEZED_B3 = "squeezed with the escape of files translated from EBCDIC"
    TRANSCODED = "turned into UTF-8"
    SQUEEZED_TRANSCODED = "squeezed and turned into UTF-8"


_ENCODERS: Mapping[Form, Callable[[bytes], bytes]] = {
    Form.PLAIN: bytes,
    Form.SQUEEZED: squeeze,
    Form.SQUEEZED_B3: lambda data: squeeze(data, b"\xb3"),
    Form.TRANSCODED: transcode,
    Form.SQUEEZED_TRANSCODED: lambda data: transcode(squeeze(data)),
}

# Record lengths of old and of new senders: of those in groups.csv the ones that do not end inside an element.
LENGTHS: Mapping[str, tuple[int, int]] = {
    "1MHG": (161, 196),
    "2GCG": (110, 110),
    "2TCG": (135, 135),
    "2TRG": (212, 212),
    "3MTG": (240, 240),
    "5AOI": (204, 238),
    "5BIS": (172, 172),
    "5BPI": (285, 511),
    "5DRV": (218, 223),
    "5FOR": (199, 203),
    "5ISI": (183, 203),
    "5LAG": (510, 636),
    "5RMK": (195, 195),
    "5SNG": (117, 117),
    "5VEH": (251, 270),
    "6CVA": (262, 281),
    "6CVH": (292, 323),
    "6FRU": (144, 144),
    "6HRU": (222, 300),  # 300: all that is known of it
    "9AOI": (252, 252),
    "9BIS": (343, 343),
}


@dataclass(frozen=True, slots=True)
class Sender:
    """One carrier's habits.

    `old`: old record lengths, and dates with two-digit years. `version`: of its groups. `first_iteration`:
    what it counts from. `unsent`: it fills with `?` what it does not send. `own_group`: a designator of its
    own, or "". `counts_groups`: its trailers count groups, not characters. `lead`, `tail`: what it puts
    around a file that is no AL3.
    """

    code: str
    separator: Separator
    form: Form
    old: bool = False
    version: str = " "
    first_iteration: int = 1
    unsent: bool = False
    own_group: str = ""
    counts_groups: bool = True
    lead: bytes = b""
    tail: bytes = b""

    def encode(self, data: bytes) -> bytes:
        """Turn expanded bytes into those that this sender stores; bytes may be encoded piece by piece."""
        return _ENCODERS[self.form](data)

    def length(self, group: str) -> int | None:
        """Bytes of its records of a group; None: those of the layout."""
        return LENGTHS[group][not self.old] if group in LENGTHS else None

    def dated(self, element: str, value: object) -> dict[str, object]:
        """Put a date where this sender puts it: into the element, or into the one that it supersedes."""
        return {f"{element}_superseded" if self.old else element: value}

    def open_message(self, dictionary: Dictionary, rng: Random, number: int) -> bytes:
        """Build a 1MHG, expanded."""
        sent = datetime.combine(FIRST_DAY, datetime.min.time()) + timedelta(
            minutes=rng.randrange(3 * 365 * 24 * 60)
        )
        values = {
            "message_address_origination": f"{self.code}01",
            "message_address_destination": "AGENCY0001",
            "system_type_code": "EXSYS",
            "interface_software_revision_level": 12,
            "message_sequence_number": number,
            "count_unit_code": "1" if self.counts_groups else None,
            "message_standard_revision_level": "1" if self.old else "2",
            "contract_number_2": None if self.old else f"{self.code}-CONTRACT",
            **self.dated("message_transmission_date_time", sent),
        }
        header = Record("1MHG", values, version=self.version, length=self.length("1MHG"))
        return build_file([header], dictionary, self.separator)

    def close_message(self, dictionary: Dictionary, groups: int, characters: int) -> bytes:
        """Build a 3MTG, expanded, for a message of so many groups and characters without it."""
        length = LENGTHS["3MTG"][0] + (2 if self.separator is Separator.CRLF_INSIDE else 0)
        total = groups + 1 if self.counts_groups else characters + length
        trailer = Record(
            "3MTG", {"total_data_in_message": total}, version=self.version, length=LENGTHS["3MTG"][0]
        )
        return build_file([trailer], dictionary, self.separator)


_NONE, _CRLF, _INSIDE = Separator.NONE, Separator.CRLF, Separator.CRLF_INSIDE

SENDERS = (
    Sender("EXA", _NONE, Form.PLAIN, version="8", own_group="CVH1"),
    Sender("EXB", _CRLF, Form.SQUEEZED, old=True, first_iteration=1001),
    Sender("EXC", _INSIDE, Form.SQUEEZED_TRANSCODED, version="D", counts_groups=False),
    Sender("EXD", _CRLF, Form.PLAIN, old=True, unsent=True, counts_groups=False, tail=b"\x1a"),
    Sender("EXE", _NONE, Form.SQUEEZED_B3, version="6", unsent=True),
    Sender("EXF", _INSIDE, Form.PLAIN, version="C", first_iteration=1001, own_group="XRT2"),
    Sender("EXG", _NONE, Form.SQUEEZED, version="B", unsent=True, counts_groups=False),
    Sender("EXH", _CRLF, Form.TRANSCODED, version="7", lead=b"\xef\xbb\xbf"),
    Sender("EXI", _INSIDE, Form.SQUEEZED, old=True, own_group="AUX1"),
    Sender("EXJ", _NONE, Form.SQUEEZED_TRANSCODED, old=True, counts_groups=False, tail=b"\0" * 64),
    Sender("EXK", _CRLF, Form.SQUEEZED_B3, version="5", own_group="CVH1"),
    Sender("EXL", _CRLF, Form.SQUEEZED_TRANSCODED, version="8", unsent=True),
)

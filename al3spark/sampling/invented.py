"""Invented people, places and things, and what varies from one policy to the next.

In: a source of random numbers. Out: bytes as they stand in an element, cp1252, without the blanks at its end.
Promises: nobody is real. Telephone numbers are 555-01xx, social security numbers have 00 in the middle, ZIP
codes begin with 000, vehicle identification numbers spell EXAMPLE: none of them can be given to anyone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

Draw = Callable[[], float]  # gives numbers from 0 up to, but not, 1


def _names(*lines: str) -> tuple[bytes, ...]:
    return tuple(" ".join(lines).encode("cp1252").split())


FIRST_NAMES = _names(
    "ANNA BEN CARLA DEVON ELENA FRANK GRACE HUGO IRIS JONAS KAREN LIAM MARÍA NOAH OLIVIA PETER QUINN",
    "ROSA SAMUEL TESSA UMA VICTOR WANDA XAVIER YARA ZOË RENÉ AMÉLIE",
)
LAST_NAMES = _names(
    "ADLER BAKER CARTER DIAZ EVANS FOSTER GREEN HUGHES IRVING JENSEN KELLER LOPEZ MILLER NOLAN OWENS",
    "PARKER QUIMBY REED SMITH TURNER UNDERHILL VOGEL WALKER XU YOUNG ZIMMER MÜLLER MUÑOZ O'BRIEN LEFÈVRE",
)
STREETS = (
    b"EXAMPLE AVE",
    b"SAMPLE ST",
    b"PLACEHOLDER LN",
    b"SPECIMEN RD APT 4",
    b"FIXTURE BLVD",
    b"DUMMY CT",
)
COMPANIES = (b"EXAMPLE PROPERTIES LLC", b"SAMPLE & SONS", b"SPECIMEN HOLDINGS INC", b"PLACEHOLDER RENTALS")
LENDERS = (
    "FIRST EXAMPLE BANK ISAOA",
    "SAMPLE CREDIT UNION",
    "SPECIMEN MORTGAGE CO",
    "PLACEHOLDER AUTO FINANCE",
)
OCCUPATIONS = ("TEACHER", "NURSE", "ENGINEER", "RETIRED", "COOK", "ELECTRICIAN")
REMARKS = (
    "CALL BEFORE INSPECTION",
    "INSURED ASKS FOR PAPERLESS DOCUMENTS. AGENT TO CONFIRM ADDRESS FOR E-MAIL",
    "PRIOR COVERAGE VERIFIED",
    "PHOTOS ON FILE; ROOF REPLACED AFTER HAIL",
)
FORMS = (
    ("EX0001", "AMENDATORY ENDORSEMENT"),
    ("EX0210", "LIMITED FUNGI COVERAGE"),
    ("EX0416", "SPECIAL PROVISIONS"),
)


@dataclass(frozen=True, slots=True)
class Town:
    """A place that does not exist, in a state that does."""

    city: str
    state: str
    zip_code: str
    county: str


TOWNS = (
    Town("ANYTOWN", "OH", "00011", "EXAMPLE"),
    Town("SAMPLEVILLE", "TX", "00022", "SPECIMEN"),
    Town("MOCKINGTON", "NY", "00033", "PLACEHOLDER"),
    Town("SAN EJEMPLO", "CA", "00044", "FIXTURE"),
    Town("LAKE DUMMY", "MN", "00055", "SAMPLE"),
    Town("PORT EXAMPLE", "ME", "00066", "DUMMY"),
)


@dataclass(frozen=True, slots=True)
class Coverage:
    """A coverage and what it may cost: whole dollars, before the factor of each policy."""

    code: str
    description: str
    limits: tuple[int, ...]
    deductibles: tuple[int, ...]
    dollars: tuple[int, int]


AUTO_COVERAGES = (
    Coverage("BI", "BODILY INJURY", (25_000, 50_000, 100_000, 250_000), (), (120, 380)),
    Coverage("PD", "PROPERTY DAMAGE", (25_000, 50_000, 100_000), (), (80, 240)),
    Coverage("UM", "UNINSURED MOTORIST", (25_000, 50_000, 100_000), (), (20, 90)),
    Coverage("MEDPM", "MEDICAL PAYMENTS", (1_000, 5_000, 10_000), (), (8, 40)),
    Coverage("COMP", "COMPREHENSIVE", (), (100, 250, 500), (40, 210)),
    Coverage("COLL", "COLLISION", (), (250, 500, 1_000), (110, 520)),
    Coverage("TL", "TOWING AND LABOR", (50, 100), (), (3, 12)),
    Coverage("RREIM", "RENTAL REIMBURSEMENT", (30, 50), (), (10, 35)),
)
HOME_COVERAGES = (
    Coverage("DWELL", "DWELLING", (150_000, 225_000, 310_000, 480_000), (500, 1_000, 2_500), (380, 1_400)),
    Coverage("OS", "OTHER STRUCTURES", (15_000, 31_000), (), (10, 40)),
    Coverage("PP", "PERSONAL PROPERTY", (75_000, 112_500, 155_000), (), (30, 120)),
    Coverage("LOU", "LOSS OF USE", (30_000, 45_000), (), (5, 30)),
    Coverage("PL", "PERSONAL LIABILITY", (100_000, 300_000, 500_000), (), (15, 60)),
    Coverage("MEDPM", "MEDICAL PAYMENTS TO OTHERS", (1_000, 5_000), (), (2, 12)),
    Coverage("WTRBK", "WATER BACK-UP", (5_000, 10_000), (500,), (25, 75)),
)
FIRE_COVERAGES = (
    Coverage("DWELL", "DWELLING FIRE", (90_000, 140_000, 200_000), (1_000, 2_500), (220, 700)),
    Coverage("EC", "EXTENDED COVERAGE", (90_000, 140_000), (1_000,), (40, 160)),
    Coverage("VMM", "VANDALISM AND MALICIOUS MISCHIEF", (90_000,), (1_000,), (10, 50)),
    Coverage("FRV", "FAIR RENTAL VALUE", (12_000, 18_000), (), (12, 60)),
)
VEHICLES = (
    ("TOYOTA", "CAMRY", "SD"),
    ("FORD", "F150", "PK"),
    ("HONDA", "CIVIC", "SD"),
    ("CHEVROLET", "EQUINOX", "UT"),
    ("SUBARU", "OUTBACK", "SW"),
    ("VOLKSWAGEN", "GOLF", "HB"),
)

FIRST_DAY = date(2023, 1, 1)
DAYS = tuple(f"{FIRST_DAY + timedelta(days):%Y%m%d}".encode() for days in range(3 * 365 + 366))
DRAWN_DAYS = 3 * 365  # terms begin on one of these; the rest is for their ends


def _one(choices: tuple[bytes, ...], draw: Draw) -> bytes:
    return choices[int(draw() * len(choices))]


def _name(draw: Draw) -> bytes:
    """A person; one in eight as a family name, which has a middle name (FORMAT.md, Values)."""
    first, last = _one(FIRST_NAMES, draw), _one(LAST_NAMES, draw)
    if draw() < 0.125:
        return b"F%-8b%-16b%-11b%b" % (b"DR", first, _one(FIRST_NAMES, draw)[:1], last)
    return b"P%-8b%-27b%b" % (b"", first, last)


# What a `Varied` element can hold, by role.
INVENT: Mapping[str, Callable[[Draw], bytes]] = {
    "policy_number": lambda draw: b"EX%09d" % int(draw() * 1e9),
    "name": _name,
    "company": lambda draw: b"C" + _one(COMPANIES, draw),
    "street": lambda draw: b"%d %b" % (1 + int(draw() * 9998), _one(STREETS, draw)),
    "phone": lambda draw: b"%d55501%02d" % (201 + int(draw() * 780), int(draw() * 100)),
    "ssn": lambda draw: b"9%02d00%04d" % (int(draw() * 100), 1 + int(draw() * 9999)),
    "birth": lambda draw: (
        b"%d%02d%02d" % (1951 + int(draw() * 53), 1 + int(draw() * 12), 1 + int(draw() * 28))
    ),
    "inception": lambda draw: b"%d%02d15" % (2008 + int(draw() * 15), 1 + int(draw() * 12)),
    "license": lambda draw: b"X%08d" % int(draw() * 1e8),
    "plate": lambda draw: b"EX%05d" % int(draw() * 1e5),
    "vin": lambda draw: b"EXAMPLE%010d" % int(draw() * 1e10),
    "account": lambda draw: b"%010d" % int(draw() * 1e10),
}

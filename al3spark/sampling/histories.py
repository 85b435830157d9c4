"""What becomes of a policy: it is written, changed and renewed, and some day cancelled.

In: a template and random numbers. Out: one event after the other. Promises: events are in the order of time;
terms follow each other without a gap; what makes the policy (number, persons, vehicles) stays; premiums move
by what a change or a renewal plausibly costs, and a net change is the difference that it made.
"""

from dataclasses import dataclass

from al3spark.sampling.invented import DAYS, DRAWN_DAYS, INVENT, Draw
from al3spark.sampling.templates import Event, Template, draw_values

_CENTS = (60, 160)  # what a dollar of a template becomes
_FIRST = (("NBS", 0.45), ("RWL", 0.85), ("PCH", 0.95), ("XLC", 1.0))  # the rest began before the sample
_THEN = (("PCH", 0.4), ("XLC", 0.46), ("RWL", 1.0))
_CHANGE = (0.88, 1.18)
_APART_DAYS = 15  # between events, and between one and the end of a term
_ISSUED_DAYS = 9  # before an event


@dataclass(slots=True)
class History:
    """A policy and the last thing that happened to it, on `day` of the term that begins on `start`."""

    template: Template
    invented: tuple[bytes, ...]
    inception: bytes
    start: int
    day: int
    event: Event

    @classmethod
    def begin(cls, template: Template, draw: Draw) -> "History":
        """Draw a policy."""
        invented = draw_values(template, draw)
        start, purpose = int(draw() * DRAWN_DAYS), _choose(_FIRST, draw)
        inception = DAYS[start] if purpose == "NBS" else INVENT["inception"](draw)
        cents = int(_between(_CENTS, draw))
        event = Event(b"", False, (), cents, cents)  # what there was before
        history = cls(template, invented, inception, start, start, event)
        history._happen(purpose, draw)
        return history

    def go_on(self, draw: Draw) -> bool:
        """Let the next thing happen; False: nothing happens any more."""
        purpose = _choose(_THEN, draw)
        if purpose != "RWL" and self._room() <= 0:
            purpose = "RWL"
        if purpose == "RWL":
            self.start = self.day = self.start + self.template.term.days
        is_over = self.event.purpose == b"XLC" or self.start >= DRAWN_DAYS
        if not is_over:
            self._happen(purpose, draw)
        return not is_over

    def _room(self) -> int:
        """Days of the term on which something more can happen."""
        return self.start + self.template.term.days - self.day - 2 * _APART_DAYS

    def _happen(self, purpose: str, draw: Draw) -> None:
        days, cents = self.template.term.days, self.event.cents
        if purpose in ("PCH", "XLC"):
            self.day += _APART_DAYS + int(draw() * self._room())
        if purpose == "PCH":
            cents = round(cents * _between(_CHANGE, draw))
            change = cents - self.event.cents
        elif purpose == "XLC":
            change = -round(cents * (self.start + days - self.day) / days)
        else:
            is_later = self.event.purpose and purpose == "RWL"
            cents = round(cents * _between(self.template.term.growth, draw)) if is_later else cents
            change = cents
        dates = (self.start, self.start + days, self.day, max(self.day - _ISSUED_DAYS, 0))
        written = (self.inception, *(DAYS[day] for day in dates))
        self.event = Event(purpose.encode(), purpose == "NBS", written, cents, change)


def _between(limits: tuple[float, float], draw: Draw) -> float:
    return limits[0] + draw() * (limits[1] - limits[0])


def _choose(among: tuple[tuple[str, float], ...], draw: Draw) -> str:
    """Choose by chances that add up from one to the next."""
    drawn = draw()
    return next(name for name, limit in among if drawn < limit)

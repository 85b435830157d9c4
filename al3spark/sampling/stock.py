"""A sender's stock of policies, and the files that are made of it.

In: a sender and a seed. Out: files piece by piece (1MHG, transactions, 3MTG), of about the size wanted. What
happens to a policy stands in one file: other transactions are between, the order is right.
Promises: the same seed gives the same stock, whatever is made of it and in whatever order; memory is that of
the stock, whatever the size of a file.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from al3spark.al3.dictionary import Dictionary
from al3spark.sampling.histories import History
from al3spark.sampling.invented import Draw
from al3spark.sampling.policies import draw_policy
from al3spark.sampling.senders import Sender
from al3spark.sampling.templates import Template, stamp

_TEMPLATES = 24
_STEP = 7  # from one to the next: each has its turn, and neighbours are of different lines of business
_RETURNING = 0.65  # of transactions are of a policy that the file has already, once it has some
_EACH_RETURNS = 0.15  # of transactions until then, for each policy
_RUNNING = 48  # so many of them at most may go on
_LONGEST_MESSAGE = 16 << 20  # a trailer counts up to 99,999,999


@dataclass(slots=True)
class Book:
    """The policies of a file. `turn`: of the templates; `running`: those to which more can happen."""

    turn: int
    running: list[History] = field(default_factory=list)

    def go_on(self, draw: Draw) -> History | None:
        """Let something happen to one of them; None: it is time for another."""
        running = self.running
        if draw() >= min(_RETURNING, _EACH_RETURNS * len(running)):
            return None
        at = int(draw() * len(running))
        if running[at].go_on(draw):
            return running[at]
        del running[at]
        return None

    def add(self, history: History) -> None:
        """Take up a policy."""
        if len(self.running) == _RUNNING:
            del self.running[0]
        self.running.append(history)
        self.turn = (self.turn + _STEP) % _TEMPLATES


@dataclass(slots=True)
class Stock:
    """Policies of one sender, drawn when they are first needed."""

    dictionary: Dictionary
    sender: Sender
    seed: int
    _templates: dict[int, Template] = field(default_factory=dict)

    def write_file(self, rng: Random, size: int, messages: int) -> Iterator[bytes]:
        """Give the pieces of a file of about `size` bytes as stored: at least so many messages."""
        if self.sender.lead:
            yield self.sender.lead
        done, message_size = 0, min(max(size // messages, 1), _LONGEST_MESSAGE)
        number, book = 0, Book(int(rng.random() * _TEMPLATES))
        while done < size or number < messages:
            number += 1
            for piece in self._write_message(rng, min(message_size, max(size - done, 1)), number, book):
                done += len(piece)
                yield piece
        if self.sender.tail:
            yield self.sender.tail

    def _write_message(self, rng: Random, size: int, number: int, book: Book) -> Iterator[bytes]:
        sender = self.sender
        header = sender.open_message(self.dictionary, rng, number)
        groups, characters = 1, int(header[4:7])
        stored = sender.encode(header)
        done, sequence = len(stored), 0
        yield stored
        while done < size or not sequence:
            sequence += 1
            history = book.go_on(rng.random) or self._begin(book, rng.random)
            template = history.template
            transaction = stamp(template, sender, history.invented, history.event, sequence)
            groups, characters = groups + template.records, characters + template.characters
            done += len(transaction)
            yield transaction
        yield sender.encode(sender.close_message(self.dictionary, groups, characters))

    def _begin(self, book: Book, draw: Draw) -> History:
        begun = History.begin(self._template(book.turn), draw)
        book.add(begun)
        return begun

    def _template(self, number: int) -> Template:
        template = self._templates.get(number)
        if template is None:
            rng = Random(f"{self.seed}/{self.sender.code}/{number}")
            template = self._templates[number] = draw_policy(rng, number, self.sender, self.dictionary)
        return template

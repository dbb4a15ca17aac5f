"""What a put of a list gives: how far it came, and one future for all its reports."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Generic, Optional, TypeVar

from . import errors
from ._core import AnyFuture, Core, Outcomes
from .report import Report, Reports

F = TypeVar("F")


@dataclass(frozen=True)
class PutMany(Generic[F]):
    """How far a put of a list came."""

    #: So many were accepted: the first ones. Of these, and only these, the future has the outcome.
    accepted: int
    #: Why the next one was not accepted; None if all were.
    stopped: Optional[errors.KinesisProducerError]
    #: Of a ListResult, when all that was accepted is reported. None if no report was asked for.
    future: F

    def check(self) -> PutMany[F]:
        """Itself; raises `stopped` if not all were accepted."""
        if self.stopped is not None:
            raise self.stopped
        return self


@dataclass
class ListResult:
    """What became of the accepted user records of a list."""

    #: How many were accepted, and so reported.
    accepted: int
    #: Those that are not stored: place in the list and report, by place.
    failures: list[tuple[int, Report]]
    _key: int
    _all: Optional[list[Reports]] = None
    _reports: Optional[list[Report]] = field(default=None, repr=False)

    @property
    def stored(self) -> int:
        """How many are stored."""
        return self.accepted - len(self.failures)

    @property
    def reports(self) -> list[Report]:
        """All reports, by place in the list: `put_many(…, report="all")`."""
        if self._all is None:
            raise ValueError('only the failures were kept: put_many(…, report="all") keeps all reports')
        if self._reports is None:
            found: dict[int, Report] = {}
            for reports in self._all:
                opaques = memoryview(reports.opaques()).cast("Q")
                numbers = memoryview(reports.statuses()).cast("i")
                for row, opaque in enumerate(opaques):
                    if opaque >> 32 == self._key:
                        found[opaque & 0xFFFFFFFF] = Report(reports, row, numbers[row])
            self._reports = [found[place] for place in range(self.accepted)]
        return self._reports


class Waiting:
    """A list that waits for its reports. They may come before its put has returned."""

    def __init__(self, core: Core, future: AnyFuture, wants_all: bool) -> None:
        self.wants_all = wants_all
        self._core = core
        self._future = future
        self._lock = threading.Lock()
        self._reported = 0
        self._accepted: Optional[int] = None
        self._end: Optional[BaseException] = None
        self._failures: list[tuple[int, Report]] = []
        self._all: list[Reports] = []
        self.key = core.add_list(self)

    def handle_reports(self, count: int, failures: list[tuple[int, Report]], reports: Optional[Reports]) -> Outcomes:
        with self._lock:
            self._reported += count
            self._failures += failures
            if reports is not None:
                self._all.append(reports)
            return self._outcome()

    def handle_accepted(self, accepted: int) -> Outcomes:
        """The put is over: so many reports are to come in all."""
        with self._lock:
            self._accepted = accepted
            outcome = self._outcome()
            return outcome or ([(self._future, self._end)] if self._end is not None else [])

    def handle_end(self, failure: BaseException) -> Outcomes:
        with self._lock:
            # A put that is about to return knows how many there are, and so whether all of them were reported.
            self._end = failure
            return [] if self._accepted is None else [(self._future, failure)]

    def _outcome(self) -> Outcomes:
        if self._reported != self._accepted:
            return []
        self._core.lists.pop(self.key, None)
        self._failures.sort(key=lambda failure: failure[0])
        result = ListResult(self._accepted, self._failures, self.key, self._all if self.wants_all else None)
        return [(self._future, result)]

"""What a producer and its streams share: the library's object, who waits for which report, and the thread that takes reports.

Opaque numbers. 0: nobody waits. Below 2^63: one user record; the number is its key among those that wait. From 2^63 on: a user
record of a list; the upper 32 bits are the list's key, the lower its place. So the reports of a list are counted by looking at
every other 32 bits, without an object for each.

No lock is taken on the put path: that dictionaries do one operation at a time is enough, and no lock can be left locked in the
child of a fork.
"""

from __future__ import annotations

import itertools
import os
import sys
import threading
from asyncio import AbstractEventLoop
from asyncio import Future as LoopFuture
from collections import Counter
from concurrent.futures import Future, InvalidStateError
from ctypes import byref, c_size_t, c_void_p
from typing import Any, Callable, Optional, Protocol, Union

from . import _abi, _log, errors
from ._abi import lib
from ._statistics import Watcher
from .report import Report, Reports

LIST = 2**63
_LIST_KEY = 2**31
#: Which of the two words of an opaque number is the list's key.
KEY_WORD = 1 if sys.byteorder == "little" else 0

#: Reports taken at once. Fewer wake the thread more often; more hold the GIL longer.
_POLL = 4096

AnyFuture = Union["Future[Any]", "LoopFuture[Any]"]
#: Futures and their results.
Outcomes = list[tuple[AnyFuture, Any]]


class Listener(Protocol):
    """A list of user records that waits for its reports."""

    def handle_reports(self, count: int, failures: list[tuple[int, Report]], reports: Optional[Reports]) -> Outcomes:
        """Takes the reports of `count` of its user records; `failures` are their places and reports."""

    wants_all: bool

    def handle_end(self, failure: BaseException) -> Outcomes:
        """No more reports will come."""


class ReportFuture(Future[Report]):
    """A future as the standard library has it, but for one condition of all futures of a producer.

    A condition for each is ten objects: they and the garbage collector's walks over them cost more than all the rest of a put.
    """

    def __init__(self, condition: threading.Condition) -> None:
        # What Future.__init__ sets; a test compares.
        self._condition = condition
        self._state = "PENDING"
        self._result = None
        self._exception = None
        self._waiters: list[Any] = []
        self._done_callbacks: list[Any] = []

    def result(self, timeout: Optional[float] = None) -> Report:
        self._wait(timeout)
        return super().result(0)

    def exception(self, timeout: Optional[float] = None) -> Optional[BaseException]:
        self._wait(timeout)
        return super().exception(0)

    def _wait(self, timeout: Optional[float]) -> None:
        """The standard library takes any notification for its own; here it may be another future's."""
        if self._state == "FINISHED":
            return
        with self._condition:
            self._condition.wait_for(self.done, timeout)


class Handle:
    """A kp_producer_t, freed when the last call that uses it has returned: each call holds a reference."""

    __slots__ = ("pointer",)

    def __init__(self, pointer: int) -> None:
        self.pointer = pointer

    def __del__(self, free: Callable[[int], int] = lib.kp_producer_free, wrong: int = errors.WRONG_THREAD) -> None:
        # In the child of a fork it does nothing.
        if free(self.pointer) == wrong:
            # Collected on the thread of its callback for statistics, which a free waits for.
            threading.Thread(target=free, args=(self.pointer,), name="kinesis-producer-free", daemon=True).start()


class Core:
    """A running producer, apart from the object that the application holds, so that this object can be forgotten."""

    def __init__(self, config: Optional[int], watcher: Optional[Watcher] = None) -> None:
        pointer = c_void_p()
        errors.check(lib.kp_producer_new(config, byref(pointer)))
        self.handle: Optional[Handle] = Handle(pointer.value or 0)
        #: Closed or aborted, and all reports are taken. What it counted can be read for as long as there is a handle.
        self.ended = False
        self.pid = os.getpid()
        self.numbers = itertools.count(1)
        #: Of all futures of single puts.
        self.decided = threading.Condition()
        self.waiting: dict[int, AnyFuture] = {}
        self.lists: dict[int, Listener] = {}
        self._list_keys = itertools.count()
        #: Notified, and `taken` changed, when reports were taken: only that may make room.
        self.room = threading.Condition()
        self.taken = 0
        #: Puts of event loops that wait for room.
        self.loop_waiters: set[LoopFuture[None]] = set()
        self.stopped = threading.Event()
        self.poller = threading.Thread(target=self._poll, args=(self.handle,), name="kinesis-producer", daemon=True)
        self.poller.start()
        #: Who is told statistics.
        self.watcher = watcher
        if watcher is not None:
            watcher.start()

    def use(self) -> Handle:
        """The library's object, for one call that needs a producer at work. Raises Closed."""
        handle = self.handle
        if handle is None or self.ended:
            raise errors.from_status(errors.CODES[errors.Closed])
        return handle

    def read(self) -> Handle:
        """The library's object, for one call that only reads. Raises Closed at the end of the interpreter."""
        handle = self.handle
        if handle is None:
            raise errors.from_status(errors.CODES[errors.Closed])
        return handle

    def add_list(self, listener: Listener) -> int:
        """Enters a list; gives its key."""
        while True:
            key = _LIST_KEY | (next(self._list_keys) % _LIST_KEY)
            # One that has waited for the last two thousand million lists is passed over.
            if self.lists.setdefault(key, listener) is listener:
                return key

    def wait_for_room(self, seen: int, seconds: float) -> None:
        """Waits until reports were taken after `seen`, a value of `taken`, or so long."""
        with self.room:
            if self.taken == seen:
                self.room.wait(seconds)

    def abort(self) -> int:
        """Stops at once; what is undecided is reported as aborted."""
        handle = self.handle
        if handle is None or self.ended:
            return 0
        aborted = c_size_t()
        errors.check(lib.kp_producer_abort(handle.pointer, byref(aborted)))
        self.stopped.set()
        return aborted.value

    def close(self, timeout_ms: int) -> int:
        """Flushes, then stops. Gives how many user records were aborted."""
        handle = self.handle
        if handle is None or self.ended:
            return 0
        aborted = c_size_t()
        errors.check(lib.kp_producer_close(handle.pointer, timeout_ms, byref(aborted)))
        self.stopped.set()
        return aborted.value

    def forget(self) -> None:
        """Lets the library's object go, once the calls that use it have returned."""
        self.handle = None

    def _poll(self, handle: Handle) -> None:
        """The thread that takes reports. Nothing that an application does ends it before there are no more."""
        while True:
            stopped = self.stopped.is_set()
            try:
                pointer = lib.kp_producer_poll_reports(handle.pointer, _POLL, _abi.WAIT_FOREVER)
                if pointer:
                    self._take(Reports(pointer))
                elif stopped:
                    break
                else:
                    # It is closing, or a bug has stopped it: then nothing may come for long.
                    self.stopped.wait(0.05)
            except BaseException:
                _log.LOGGER.exception("while reports were handed on")
        self._end()

    def _take(self, reports: Reports) -> None:
        opaques, statuses = reports.opaques(), reports.statuses()
        count = len(statuses) // 4
        with self.room:
            self.taken += 1
            self.room.notify_all()
        outcomes: Outcomes = [(waiter, None) for waiter in list(self.loop_waiters)]
        if opaques != bytes(len(opaques)):
            failed = statuses != bytes(len(statuses))
            # Once a call, not once a user record: how many there are for each list.
            words = memoryview(opaques).cast("I")[KEY_WORD::2]
            counts = Counter(words)
            if min(counts) < _LIST_KEY:
                self._take_single(opaques, statuses, reports, outcomes)
            failures = self._failures_of_lists(opaques, statuses, reports) if failed else {}
            for key, reported in counts.items():
                listener = self.lists.get(key)
                if listener is not None:
                    all_of_them = reports if listener.wants_all else None
                    outcomes += listener.handle_reports(reported, failures.get(key, []), all_of_them)
        assert count == len(opaques) // 8
        deliver(outcomes)

    def _take_single(self, opaques: bytes, statuses: bytes, reports: Reports, outcomes: Outcomes) -> None:
        numbers = memoryview(statuses).cast("i")
        take = self.waiting.pop
        for row, opaque in enumerate(memoryview(opaques).cast("Q")):
            future = take(opaque, None)
            if type(future) is ReportFuture:
                _complete(future, Report(reports, row, numbers[row]))
            elif future is not None:
                outcomes.append((future, Report(reports, row, numbers[row])))

    @staticmethod
    def _failures_of_lists(opaques: bytes, statuses: bytes, reports: Reports) -> dict[int, list[tuple[int, Report]]]:
        failures: dict[int, list[tuple[int, Report]]] = {}
        for row, (opaque, number) in enumerate(zip(memoryview(opaques).cast("Q"), memoryview(statuses).cast("i"))):
            if number != 0 and opaque >= LIST:
                place, key = opaque & 0xFFFFFFFF, opaque >> 32
                failures.setdefault(key, []).append((place, Report(reports, row, number)))
        return failures

    def _end(self) -> None:
        """No future waits for ever, also if there was a bug."""
        failure = errors.from_status(errors.CODES[errors.Poisoned])
        left: Outcomes = [(future, failure) for future in self.waiting.values()]
        for listener in list(self.lists.values()):
            left += listener.handle_end(failure)
        self.waiting.clear()
        self.lists.clear()
        with self.room:
            self.taken += 1
            self.room.notify_all()
        deliver(left + [(waiter, None) for waiter in list(self.loop_waiters)])


def deliver(outcomes: Outcomes) -> None:
    """Completes futures; those of an event loop all at once, on its thread."""
    loops: dict[AbstractEventLoop, Outcomes] = {}
    for outcome in outcomes:
        future = outcome[0]
        if isinstance(future, Future):
            _complete(*outcome)
        else:
            loops.setdefault(future.get_loop(), []).append(outcome)
    for loop, its_outcomes in loops.items():
        try:
            loop.call_soon_threadsafe(complete_all, its_outcomes)
        except RuntimeError:
            # The loop is closed: nobody waits any more.
            pass


def complete_all(outcomes: Outcomes) -> None:
    """Completes futures of the event loop that this runs in."""
    for future, result in outcomes:
        if not future.done():
            _complete(future, result)


def _complete(future: AnyFuture, result: Any) -> None:
    try:
        if isinstance(result, BaseException):
            future.set_exception(result)
        else:
            future.set_result(result)
    except InvalidStateError:
        # It was cancelled. The user record is sent all the same.
        pass
    except BaseException:
        # A callback of the application's raised what futures let through.
        _log.LOGGER.exception("in a callback of a future")

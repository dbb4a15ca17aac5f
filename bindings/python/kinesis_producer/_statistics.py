"""Statistics: a look at a whole producer, on demand, or again and again for a function of the application's.

The library calls from a thread of its own. The callback only keeps the look and a thread of ours hands it on: so the function may
do anything, also close its producer, and the library's thread is never in the application's code when the interpreter ends.
"""

from __future__ import annotations

import itertools
import json
import queue
import threading
import weakref
from ctypes import byref, c_void_p
from typing import Any, Callable, Optional

from . import _abi, errors
from ._abi import lib
from ._held import Held
from ._log import LOGGER

#: Called with statistics, on a thread of its own. What it raises is logged.
OnStatistics = Callable[[dict[str, Any]], object]


def read(producer: int) -> dict[str, Any]:
    """The statistics of a kp_producer_t."""
    place = c_void_p()
    errors.check(lib.kp_producer_statistics(producer, byref(place)))
    try:
        statistics: dict[str, Any] = json.loads(lib.kp_statistics_json(place))
        return statistics
    finally:
        lib.kp_statistics_free(place)


class Watcher:
    """A function of the application's, and the thread that calls it. A look that comes while another waits takes its place.

    A collected producer may be freed, and `end` called, anywhere in between: so nothing here holds a lock. The thread and the
    library reach this, and so it must not keep the function.
    """

    def __init__(self, function: Held[OnStatistics]) -> None:
        if not callable(function.function):
            raise TypeError(f"on_statistics: a function is expected, not {type(function.function).__name__}")
        self._function = weakref.ref(function)
        self._latest: Optional[bytes] = None
        self._ended = False
        #: Not empty if there is something to see.
        self._news: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._hand_on, name="kinesis-producer-statistics", daemon=True)

    def callback(self) -> tuple[Optional[int], int, Optional[int]]:
        """Function, user_data and finalizer for the library, which keeps this alive until it calls the finalizer."""
        number = next(_numbers)
        _watchers[number] = self
        return _abi.address(_CALLBACK), number, _abi.address(_FINALIZER)

    def start(self) -> None:
        """Starts the thread, once there is a producer."""
        self._thread.start()

    def take(self, look: bytes) -> None:
        """A look, from the library."""
        self._latest = look
        if self._news.empty():
            self._news.put(None)

    def end(self) -> None:
        """No call begins after this."""
        self._ended = True
        self._news.put(None)

    def join(self, timeout: Optional[float] = None) -> None:
        """Waits for a call that runs, unless this is it."""
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout)

    def _hand_on(self) -> None:
        while True:
            self._news.get()
            if self._ended:
                return
            self._hand_on_latest()

    def _hand_on_latest(self) -> None:
        # On its own, so that a thread that waits keeps nothing of this alive.
        look, self._latest = self._latest, None
        held = self._function()
        if look is None or held is None:
            return
        try:
            held.function(json.loads(look))
        except BaseException:
            LOGGER.exception("the function for statistics failed")


# By the number that goes through the library as user_data: it says itself when one is not needed any more.
_watchers: dict[int, Watcher] = {}
_numbers = itertools.count(1)


def _take(user_data: Optional[int], statistics: Optional[int]) -> None:
    watcher = _watchers.get(user_data or 0)
    if watcher is not None:
        watcher.take(lib.kp_statistics_json(statistics))


def _forget(user_data: Optional[int]) -> None:
    watcher = _watchers.pop(user_data or 0, None)
    if watcher is not None:
        watcher.end()


_CALLBACK = _abi.STATISTICS_FN(_take)
_FINALIZER = _abi.FINALIZER_FN(_forget)

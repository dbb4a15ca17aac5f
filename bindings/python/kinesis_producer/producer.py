"""`Producer` and `Stream`: puts that wait for room by blocking the thread."""

from __future__ import annotations

import atexit
import ctypes
import os
import threading
import time
import warnings
import weakref
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from ctypes import byref, c_size_t, c_uint64, c_void_p
from datetime import timedelta
from types import TracebackType
from typing import Any, Callable, Literal, NamedTuple, Optional, Union, overload

from . import _log, _statistics, errors, metrics
from ._abi import WAIT_FOREVER, CountersStruct, lib
from ._columns import Columns, Data, HashKey, Record, record_struct
from ._config import Config, Setting, c_text, milliseconds
from ._core import Core, ReportFuture, deliver
from ._held import Held
from ._statistics import OnStatistics, Watcher
from .credentials import Provider
from .metrics import Metric, Window
from .put_many import ListResult, PutMany, Waiting
from .report import Report

Timeout = Union[float, timedelta, None]
#: Which reports of a list to keep: of what failed, all, or none.
Keep = Literal["failures", "all"]

# Nothing interrupts a call of the library: waiting in slices lets Ctrl-C through.
_SLICE = 0.25


class Outstanding(NamedTuple):
    """What was accepted and is not delivered yet."""

    records: int
    #: Of data and partition keys.
    bytes: int
    #: Seconds that the oldest undecided one waits; 0 if there is none.
    oldest: float


class Counters(NamedTuple):
    """What a producer did since it was made."""

    #: User records accepted.
    user_records_received: int
    #: User records reported as stored.
    user_records_stored: int
    #: User records reported as failed (not stored, or not certainly).
    user_records_failed: int
    #: Kinesis records reported as stored.
    kinesis_records_stored: int
    #: Bytes (data and partition key) of the Kinesis records reported as stored.
    kinesis_bytes_stored: int
    #: PutRecords calls made.
    put_records_calls: int
    #: Kinesis records sent, each time they were sent.
    attempts: int
    #: Bytes (data and partition key) of the Kinesis records sent, each time they were sent.
    bytes_sent: int
    #: Kinesis records that the service throttled.
    throttled: int
    #: Kinesis records that were stored in another shard than predicted and had to be sent again in part.
    wrong_shard: int


class Producer:
    """Puts user records into Kinesis streams. Any number of threads may use it at once.

    Settings go by the names of CONFIGURATION.md: `Producer(region="eu-west-1", record_ttl=timedelta(seconds=10))`, for single
    streams `streams={"orders": {"ordering": "shard"}}`. Close it, or use it in a `with` statement: what a forgotten one has not
    sent yet is aborted.

    `on_statistics` is called with `statistics()` once every `statistics_interval`, a setting that must then be given as well, on a
    thread of its own, one call at a time. It may use the producer as it likes. What it raises is logged. A producer that only its
    own functions refer to is forgotten like any other.
    """

    def __init__(
        self,
        *,
        properties_file: Union[str, os.PathLike[str], None] = None,
        streams: Optional[Mapping[str, Mapping[str, Setting]]] = None,
        credentials: Optional[Provider] = None,
        on_statistics: Optional[OnStatistics] = None,
        **settings: Setting,
    ) -> None:
        _log.forward()
        # Only this object holds them: they may refer to it, and it is collected all the same.
        self._on_statistics = Held(on_statistics) if on_statistics is not None else None
        self._credentials = Held(credentials) if credentials is not None else None
        watcher = Watcher(self._on_statistics) if self._on_statistics is not None else None
        config = Config(settings, streams or {}, properties_file, self._credentials, watcher)
        self._core = Core(config.release(), watcher)
        self._streams: weakref.WeakValueDictionary[str, Stream] = weakref.WeakValueDictionary()
        _cores.add(self._core)
        _pollers.add(self._core.poller)
        self._finalizer = weakref.finalize(self, _forgotten, self._core)
        self._finalizer.atexit = False

    def stream(self, name: str) -> Stream:
        """Looks up a stream by name or ARN: once, not for each put. The same name gives the same stream."""
        stream = self._streams.get(name)
        if stream is None:
            handle = self._core.use()
            pointer = c_void_p()
            errors.check(lib.kp_producer_stream(handle.pointer, c_text(name, "name"), byref(pointer)))
            stream = self._streams.setdefault(name, Stream(self, name, pointer.value or 0))
        return stream

    def flush(self, timeout: Timeout = None) -> None:
        """Sends what was accepted so far without further delay and waits until it is decided. Raises TimedOut.

        The last futures may be done a moment later: wait for them if that matters.
        """
        handle = self._core.use()
        status = wait(self._core, lambda ms: _flush_status(handle.pointer, ms), milliseconds(timeout))
        if status != errors.OK:
            left = self.outstanding.records
            raise errors.from_status(status, f"flush: after {timeout} s, {left} user records are outstanding")

    def close(self, timeout: Timeout = None) -> int:
        """Takes no more user records, flushes, and after `timeout` aborts the rest; gives how many that were.

        Afterwards every future is done, and a call of `on_statistics` has returned. Puts that wait for room raise Closed. What was
        counted can still be read: `counters`, `metrics` and `statistics`.
        """
        core = self._core
        if core.pid != os.getpid():
            raise errors.from_status(errors.CODES[errors.Forked])
        timeout_ms = milliseconds(timeout)
        outcome: Future[int] = Future()

        def close() -> None:
            try:
                outcome.set_result(core.close(timeout_ms))
            except BaseException as failure:
                outcome.set_exception(failure)

        # On a thread of its own, so that Ctrl-C reaches the one that waits.
        thread = threading.Thread(target=close, name="kinesis-producer-close", daemon=True)
        thread.start()
        try:
            aborted = outcome.result()
        except BaseException:
            core.abort()
            raise
        finally:
            self._ended()
        # The thread that takes reports may be what such a call waits for.
        if core.watcher is not None and threading.current_thread() is not core.poller:
            core.watcher.join()
        return aborted

    def abort(self) -> int:
        """Stops at once; what is undecided is reported as aborted. Gives how many that were."""
        aborted = self._core.abort()
        self._ended()
        return aborted

    @property
    def outstanding(self) -> Outstanding:
        """What was accepted and is not delivered yet."""
        handle = self._core.handle
        if handle is None:
            return Outstanding(0, 0, 0.0)
        records, size, oldest = c_size_t(), c_size_t(), c_uint64()
        _raise_for(lib.kp_producer_outstanding(handle.pointer, byref(records), byref(size), byref(oldest)))
        return Outstanding(records.value, size.value, oldest.value / 1000)

    @property
    def counters(self) -> Counters:
        """What was done since it was made, also after a close."""
        handle = self._core.read()
        counters = CountersStruct(struct_size=ctypes.sizeof(CountersStruct))
        _raise_for(lib.kp_producer_counters(handle.pointer, byref(counters)))
        return Counters(*[getattr(counters, name) for name in Counters._fields])

    def metrics(self, name: Optional[str] = None, window: Window = None) -> list[Metric]:
        """A metric of the KPL's by its name in CloudWatch, such as "UserRecordsPut", or all of them: of the last `window` (1 to 60
        whole seconds, the present one included), or since the start.

        Each is given for the producer, every stream and every shard, and errors by code as well; what never had a value is not
        there. Can be read after a close as well. Raises UnknownMetric and InvalidWindow.
        """
        handle = self._core.read()
        return metrics.read(handle.pointer, name, window)

    def statistics(self) -> dict[str, Any]:
        """A look at everything at this moment: queues, shards, times, hot keys, and what of it stands out (`findings`).

        STATISTICS.md tells its fields. Can be read after a close as well.
        """
        handle = self._core.read()
        return _statistics.read(handle.pointer)

    def __enter__(self) -> Producer:
        return self

    def __exit__(
        self, _type: Optional[type[BaseException]], _error: Optional[BaseException], _trace: Optional[TracebackType]
    ) -> None:
        # The child of a fork that leaves the block has nothing to close.
        if self._core.pid == os.getpid():
            self.close()

    def _ended(self) -> None:
        self._finalizer.detach()
        core = self._core
        # A future's callback may close: then its own thread takes what is left when it has returned.
        if threading.current_thread() is not core.poller:
            core.poller.join()
        if core.watcher is not None:
            core.watcher.end()
        # Its threads have stopped. The object itself stays, to be read, until this one goes.
        core.ended = True


class Stream:
    """A stream of a producer, which it keeps alive. Any number of threads may use it at once."""

    def __init__(self, producer: Producer, name: str, pointer: int) -> None:
        self._producer = producer
        self._core = producer._core
        self._pointer = pointer
        self.name = name

    def put(
        self, partition_key: str, data: Data, *, explicit_hash_key: HashKey = None, timeout: Timeout = None
    ) -> Future[Report]:
        """Puts a user record, waiting up to `timeout` seconds for room; None is for ever, 0 raises QueueFull at once.

        The future gives the report, also that of a failure. A refused put raises and has kept nothing.
        """
        core = self._core
        handle = core.use()
        record = record_struct(partition_key, data, explicit_hash_key)
        timeout_ms = WAIT_FOREVER if timeout is None else milliseconds(timeout)
        number = next(core.numbers)
        future = ReportFuture(core.decided)
        core.waiting[number] = future
        status = errors.CODES[errors.Panic]
        try:
            status = lib.kp_stream_put(self._pointer, byref(record), number, 0)
            if status == errors.QUEUE_FULL and timeout_ms:
                put = lib.kp_stream_put
                status = wait(core, lambda ms: put(self._pointer, byref(record), number, ms), timeout_ms)
        finally:
            if status != errors.OK:
                core.waiting.pop(number, None)
        del handle  # It had to live until here.
        _raise_for(status)
        return future

    @overload
    def put_many(
        self, records: Iterable[Record], *, timeout: Timeout = None, report: Keep = "failures"
    ) -> PutMany[Future[ListResult]]: ...
    @overload
    def put_many(self, records: Iterable[Record], *, timeout: Timeout = None, report: None) -> PutMany[None]: ...
    def put_many(
        self, records: Iterable[Record], *, timeout: Timeout = None, report: Optional[Keep] = "failures"
    ) -> PutMany[Any]:
        """Puts user records in order: (partition key, data) or (partition key, data, explicit hash key). The fastest way.

        Whatever stops it, the first ones were accepted: `PutMany.accepted` says how many, `stopped` why. One future tells the
        outcome of all, with the reports of those that failed, or with all (`report="all"`); `report=None` asks for none. Raises
        Closed and Forked if nothing was accepted.
        """
        return self._put(Columns.of_records(records), timeout, report)

    def put_columns(
        self,
        partition_keys: Sequence[str],
        data: Sequence[Data],
        explicit_hash_keys: Optional[Sequence[HashKey]] = None,
        *,
        timeout: Timeout = None,
        report: Optional[Keep] = "failures",
    ) -> PutMany[Any]:
        """`put_many` of user records that stand in columns already."""
        return self._put(Columns(partition_keys, data, explicit_hash_keys), timeout, report)

    def _put(self, columns: Columns, timeout: Timeout, report: Optional[Keep]) -> PutMany[Any]:
        core = self._core
        handle = core.use()
        timeout_ms = milliseconds(timeout)
        future: Optional[Future[ListResult]] = None
        waiting = None
        if report is not None:
            future = Future()
            waiting = Waiting(core, future, report == "all")
            columns.number(waiting.key)
        try:
            status = columns.put(self._pointer, 0)
            if status == errors.QUEUE_FULL and timeout_ms:
                status = wait(core, lambda ms: columns.put(self._pointer, ms), timeout_ms)
        finally:
            if waiting is not None:
                deliver(waiting.handle_accepted(columns.accepted))
        del handle  # It had to live until here.
        return PutMany(columns.accepted, stopped(status, columns.accepted), future)


def stopped(status: int, accepted: int) -> Optional[errors.KinesisProducerError]:
    """Why a put of a list stopped. Raises what only a producer that is gone says."""
    if status == errors.OK:
        return None
    failure = errors.from_status(status)
    if accepted == 0 and isinstance(failure, (errors.Closed, errors.Forked)):
        raise failure
    return failure


def wait(core: Core, attempt: Callable[[int], int], timeout_ms: int) -> int:
    """Calls `attempt` with a time to wait, in slices, until it ends with anything but that no room came."""
    deadline = time.monotonic() + timeout_ms / 1000
    while True:
        left = _SLICE if timeout_ms == WAIT_FOREVER else max(deadline - time.monotonic(), 0.0)
        seen = core.taken
        status = attempt(milliseconds(min(left, _SLICE)))
        if status == errors.QUEUE_FULL:
            # Only taking reports makes room. The thread that takes them cannot wait for itself.
            if threading.current_thread() is core.poller:
                return status
            core.wait_for_room(seen, min(left, _SLICE))
        elif status != errors.TIMED_OUT:
            return status
        if timeout_ms != WAIT_FOREVER and time.monotonic() >= deadline:
            return errors.TIMED_OUT


def _flush_status(producer: int, timeout_ms: int) -> int:
    failure = errors.take(lib.kp_producer_flush(producer, timeout_ms))
    if failure is None:
        return errors.OK
    if isinstance(failure, errors.TimedOut):
        return failure.code
    raise failure


def _raise_for(status: int) -> None:
    if status != errors.OK:
        raise errors.from_status(status)


# Those that there are, for the end of the interpreter.
_cores: weakref.WeakSet[Core] = weakref.WeakSet()
# Also of those that are gone: such a thread may be about to free the library's object.
_pollers: weakref.WeakSet[threading.Thread] = weakref.WeakSet()


def _forgotten(core: Core) -> None:
    """A producer was collected without being closed."""
    if core.pid == os.getpid() and core.handle is not None and not core.ended:
        core.abort()
        core.forget()
        # Last, because a filter may make an exception of it.
        warnings.warn("a kinesis_producer.Producer was not closed: what it held is aborted", ResourceWarning, stacklevel=2)


@atexit.register
def _at_exit() -> None:
    """Ends the threads that take reports while there still is an interpreter for them."""
    for core in list(_cores):
        if core.pid == os.getpid() and core.handle is not None:
            core.abort()
            if threading.current_thread() is not core.poller:
                core.poller.join(1)
            if core.watcher is not None:
                # Freed here and now: the library's thread must not call when the interpreter is being taken down.
                core.forget()
                core.watcher.end()
                core.watcher.join(1)
    for poller in list(_pollers):
        if poller is not threading.current_thread():
            poller.join(1)

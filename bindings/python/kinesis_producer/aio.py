"""`AsyncProducer` and `AsyncStream`: the same for asyncio. Waiting for room is an `await`; nothing blocks the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from ctypes import byref
from types import TracebackType
from typing import Any, Callable, Optional, overload

from . import errors
from ._abi import WAIT_FOREVER, lib
from ._columns import Columns, Data, HashKey, Record, record_struct
from ._config import milliseconds
from ._core import complete_all
from .metrics import Metric, Window
from .producer import Counters, Keep, Outstanding, Producer, Stream, Timeout, stopped
from .put_many import ListResult, PutMany, Waiting
from .report import Report

# Room for another user record nearly always comes with a report. Where it does not, this is how late it is seen.
_LOOK_AGAIN = 0.1
# A put that finds room does not suspend. One of so many gets in line all the same, so that a loop of nothing but puts lets the
# event loop hand on reports.
_YIELD = 64


class AsyncProducer:
    """A `Producer` for one event loop, with the same settings: `async with AsyncProducer(region="eu-west-1") as producer`.

    Without `async with`: `producer = await AsyncProducer(…).open()`, and at the end `await producer.close()`. `on_statistics` is
    called on a thread of its own here as well: `loop.call_soon_threadsafe` leads from there into the event loop.
    """

    def __init__(self, **settings: Any) -> None:
        self._settings = settings
        self._producer: Optional[Producer] = None
        self._streams: dict[str, AsyncStream] = {}

    async def open(self) -> AsyncProducer:
        """Starts it. Looking for a region and credentials may ask the network: a thread does."""
        if self._producer is None:
            self._producer = await asyncio.to_thread(lambda: Producer(**self._settings))
        return self

    def stream(self, name: str) -> AsyncStream:
        """Looks up a stream by name or ARN: once, not for each put."""
        stream = self._streams.get(name)
        if stream is None:
            stream = self._streams[name] = AsyncStream(self._opened().stream(name))
        return stream

    async def flush(self, timeout: Timeout = None) -> None:
        """Sends what was accepted so far without further delay and waits until it is decided. Raises TimedOut."""
        await asyncio.to_thread(self._opened().flush, timeout)

    async def close(self, timeout: Timeout = None) -> int:
        """Takes no more user records, flushes, and after `timeout` aborts the rest; gives how many that were."""
        if self._producer is None:
            return 0
        aborted = await asyncio.to_thread(self._producer.close, timeout)
        # What was reported before it ended is completed by the loop in order, and so before this.
        await asyncio.sleep(0)
        return aborted

    def abort(self) -> int:
        """Stops at once; what is undecided is reported as aborted. Gives how many that were."""
        return self._producer.abort() if self._producer is not None else 0

    @property
    def outstanding(self) -> Outstanding:
        """What was accepted and is not delivered yet."""
        return self._opened().outstanding

    @property
    def counters(self) -> Counters:
        """What was done since it was made, also after a close."""
        return self._opened().counters

    async def metrics(self, name: Optional[str] = None, window: Window = None) -> list[Metric]:
        """A metric, or all of them, of the last `window` or since the start. See `Producer.metrics`.

        Of many shards they are many: a thread reads them.
        """
        return await asyncio.to_thread(self._opened().metrics, name, window)

    async def statistics(self) -> dict[str, Any]:
        """A look at everything at this moment. See `Producer.statistics`. A thread reads it, as it may be long."""
        return await asyncio.to_thread(self._opened().statistics)

    async def __aenter__(self) -> AsyncProducer:
        return await self.open()

    async def __aexit__(
        self, _type: Optional[type[BaseException]], _error: Optional[BaseException], _trace: Optional[TracebackType]
    ) -> None:
        await self.close()

    def _opened(self) -> Producer:
        if self._producer is None:
            raise errors.make(errors.Closed, "the producer is not open: use `async with`, or await open()")
        return self._producer


class AsyncStream:
    """A stream of a producer, for one event loop. Any number of its tasks may use it at once."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._core = stream._core
        self._pointer = stream._pointer
        self.name = stream.name
        # Those that wait for room do so one behind the other: otherwise all would try whenever there is some. Who comes while
        # some are in line goes behind them.
        self._turn: Optional[asyncio.Lock] = None
        self._in_line = 0

    async def put(
        self, partition_key: str, data: Data, *, explicit_hash_key: HashKey = None, timeout: Timeout = None
    ) -> asyncio.Future[Report]:
        """Puts a user record, waiting up to `timeout` seconds for room; None is for ever, 0 raises QueueFull at once.

        Gives a future of the report: `report = await (await stream.put(key, data))`. A refused put raises and has kept nothing.
        """
        core = self._core
        handle = core.use()
        record = record_struct(partition_key, data, explicit_hash_key)
        timeout_ms = WAIT_FOREVER if timeout is None else milliseconds(timeout)
        number = next(core.numbers)
        future: asyncio.Future[Report] = asyncio.get_running_loop().create_future()
        core.waiting[number] = future
        status = errors.CODES[errors.Panic]
        try:
            put = lib.kp_stream_put
            if timeout_ms and (self._in_line or number % _YIELD == 0):
                status = errors.QUEUE_FULL
            else:
                status = put(self._pointer, byref(record), number, 0)
            if status == errors.QUEUE_FULL and timeout_ms:
                status = await self._when_room(lambda: int(put(self._pointer, byref(record), number, 0)), timeout_ms)
        finally:
            if status != errors.OK:
                core.waiting.pop(number, None)
        del handle  # It had to live until here.
        if status != errors.OK:
            raise errors.from_status(status)
        return future

    @overload
    async def put_many(
        self, records: Iterable[Record], *, timeout: Timeout = None, report: Keep = "failures"
    ) -> PutMany[asyncio.Future[ListResult]]: ...
    @overload
    async def put_many(self, records: Iterable[Record], *, timeout: Timeout = None, report: None) -> PutMany[None]: ...
    async def put_many(
        self, records: Iterable[Record], *, timeout: Timeout = None, report: Optional[Keep] = "failures"
    ) -> PutMany[Any]:
        """Puts user records in order: (partition key, data) or (partition key, data, explicit hash key). The fastest way.

        Everything as `Stream.put_many`, but for the future, which is asyncio's.
        """
        return await self._put(Columns.of_records(records), timeout, report)

    async def put_columns(
        self,
        partition_keys: Sequence[str],
        data: Sequence[Data],
        explicit_hash_keys: Optional[Sequence[HashKey]] = None,
        *,
        timeout: Timeout = None,
        report: Optional[Keep] = "failures",
    ) -> PutMany[Any]:
        """`put_many` of user records that stand in columns already."""
        return await self._put(Columns(partition_keys, data, explicit_hash_keys), timeout, report)

    async def _put(self, columns: Columns, timeout: Timeout, report: Optional[Keep]) -> PutMany[Any]:
        core = self._core
        handle = core.use()
        timeout_ms = milliseconds(timeout)
        future: Optional[asyncio.Future[ListResult]] = None
        waiting = None
        if report is not None:
            future = asyncio.get_running_loop().create_future()
            waiting = Waiting(core, future, report == "all")
            columns.number(waiting.key)
        try:
            status = errors.QUEUE_FULL if timeout_ms and self._in_line else columns.put(self._pointer, 0)
            if status == errors.QUEUE_FULL and timeout_ms:
                status = await self._when_room(lambda: columns.put(self._pointer, 0), timeout_ms)
        finally:
            if waiting is not None:
                complete_all(waiting.handle_accepted(columns.accepted))
        del handle  # It had to live until here.
        return PutMany(columns.accepted, stopped(status, columns.accepted), future)

    async def _when_room(self, attempt: Callable[[], int], timeout_ms: int) -> int:
        """Calls `attempt` whenever there may be room, until it says something else."""
        if self._turn is None:
            self._turn = asyncio.Lock()
        self._in_line += 1
        try:
            if timeout_ms == WAIT_FOREVER:
                return await self._in_turn(attempt)
            return await asyncio.wait_for(self._in_turn(attempt), timeout_ms / 1000)
        except asyncio.TimeoutError:
            return errors.TIMED_OUT
        finally:
            self._in_line -= 1

    async def _in_turn(self, attempt: Callable[[], int]) -> int:
        core = self._core
        loop = asyncio.get_running_loop()
        assert self._turn is not None
        async with self._turn:
            # Also where there is room: see _YIELD.
            await asyncio.sleep(0)
            while True:
                seen = core.taken
                status = attempt()
                if status != errors.QUEUE_FULL:
                    return status
                waiter: asyncio.Future[None] = loop.create_future()
                core.loop_waiters.add(waiter)
                # Reports that were taken before it was entered have not woken it.
                delay = _LOOK_AGAIN if core.taken == seen else 0
                timer = loop.call_later(delay, _wake, waiter)
                try:
                    await waiter
                finally:
                    timer.cancel()
                    core.loop_waiters.discard(waiter)


def _wake(waiter: asyncio.Future[None]) -> None:
    complete_all([(waiter, None)])

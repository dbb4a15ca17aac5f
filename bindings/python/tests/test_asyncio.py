"""The asyncio face."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Coroutine
from typing import Any

import pytest

import kinesis_producer as kp

from .conftest import LONG

STUCK = {"max_outstanding_records": 4, "record_max_buffered_time": "1 h", "record_ttl": "2 h"}


def run(main: Coroutine[Any, Any, None]) -> None:
    async def limited() -> None:
        await asyncio.wait_for(main, LONG)

    asyncio.run(limited())


def test_puts_and_lists_are_awaited(service: kp.LocalService, stream_name: str) -> None:
    async def main() -> None:
        async with kp.AsyncProducer(**service.producer_settings) as producer:
            stream = producer.stream(stream_name)
            assert producer.stream(stream_name) is stream and stream.name == stream_name
            future = await stream.put("key", b"single", explicit_hash_key=0)
            many = await stream.put_many([("key", b"%d" % number) for number in range(500)], report="all")
            assert (await stream.put_columns(["key"], [b"column"], report=None)).future is None
            await producer.flush(LONG)
            assert (await future).shard_id == "shardId-000000000000"
            result = await many.check().future
            assert result.stored == 500 and len(result.reports) == 500 and result.failures == []
            empty = await stream.put_many([])
            assert (await empty.future).accepted == 0
            while producer.outstanding.records:
                await asyncio.sleep(0)

    run(main())
    assert len(service.read_user_records(stream_name)) == 502


def test_waiting_for_room_keeps_the_order_and_lets_the_loop_go_on(service: kp.LocalService, stream_name: str) -> None:
    async def main() -> None:
        settings = {**service.producer_settings, "max_outstanding_records": 5, "record_max_buffered_time": 1}
        async with kp.AsyncProducer(**settings) as producer:
            stream = producer.stream(stream_name)

            async def put(number: int) -> bool:
                return (await (await stream.put("key", b"%d" % number))).is_stored

            assert all(await asyncio.gather(*(put(number) for number in range(300))))
            many = await stream.put_many([("key", b"%d" % number) for number in range(300, 600)])
            assert (await many.check().future).stored == 300

    run(main())
    assert [int(record.data) for record in service.read_user_records(stream_name)] == list(range(600))


def test_refusals_and_timeouts(service: kp.LocalService, stream_name: str) -> None:
    async def main() -> None:
        producer = await kp.AsyncProducer(**service.producer_settings, **STUCK).open()
        stream = producer.stream(stream_name)
        with pytest.raises(kp.InvalidPartitionKey):
            await stream.put("", b"x")
        for _ in range(4):
            await stream.put("key", b"x", timeout=0)
        with pytest.raises(kp.QueueFull):
            await stream.put("key", b"x", timeout=0)
        with pytest.raises(kp.TimedOut):
            await stream.put("key", b"x", timeout=0.01)
        many = await stream.put_many([("key", b"x")], timeout=0.01)
        assert many.accepted == 0 and isinstance(many.stopped, kp.TimedOut)
        assert isinstance((await stream.put_many([("key", b"x")], timeout=0)).stopped, kp.QueueFull)

        # One that is cancelled while it waits has put nothing, and the next one has its turn.
        waits = asyncio.ensure_future(stream.put("key", b"cancelled"))
        behind = asyncio.ensure_future(stream.put("key", b"behind"))
        await asyncio.sleep(0)
        waits.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waits
        await producer.flush(LONG)
        future = await behind
        assert await producer.close(LONG) == 0
        assert (await future).is_stored
        assert not stream._core.waiting and not stream._core.lists and not stream._core.loop_waiters

    run(main())
    assert Counter(record.data for record in service.read_user_records(stream_name)) == {b"x": 4, b"behind": 1}


def test_close_and_abort_complete_every_future(service: kp.LocalService, stream_name: str) -> None:
    async def main() -> None:
        producer = await kp.AsyncProducer(**service.producer_settings, **STUCK).open()
        stream = producer.stream(stream_name)
        future = await stream.put("key", b"x")
        many = await stream.put_many([("key", b"x")] * 3)
        waits = asyncio.ensure_future(stream.put("key", b"x"))
        await asyncio.sleep(0)
        assert producer.abort() == 4
        assert (await future).status == kp.Status.ABORTED
        assert len((await many.future).failures) == 3
        with pytest.raises(kp.Closed):
            await waits
        with pytest.raises(kp.Closed):
            await stream.put("key", b"x")
        with pytest.raises(kp.Closed):
            await stream.put_many([("key", b"x")])
        assert await producer.close() == 0
        with pytest.raises(kp.Closed):
            kp.AsyncProducer().stream("not-open")
        assert await kp.AsyncProducer().close() == 0

    run(main())


def test_cancelled_futures_and_closed_loops_stop_nothing(service: kp.LocalService, stream_name: str) -> None:
    producer = kp.AsyncProducer(**service.producer_settings, record_max_buffered_time="1 h", record_ttl="2 h")

    async def leave() -> None:
        stream = (await producer.open()).stream(stream_name)
        (await stream.put("key", b"cancelled")).cancel()
        await stream.put("key", b"left")
        await stream.put_many([("key", b"left")])

    run(leave())

    async def come_back() -> None:
        stream = producer.stream(stream_name)
        future = await stream.put("key", b"x")
        await producer.flush(LONG)
        assert (await future).is_stored
        await producer.close()

    run(come_back())


def test_several_loops_may_use_one_producer(service: kp.LocalService, stream_name: str) -> None:
    with kp.Producer(**service.producer_settings) as producer:
        stored = []

        async def main() -> None:
            stream = kp.AsyncStream(producer.stream(stream_name))
            futures = [await stream.put("key", b"x") for _ in range(500)]
            stored.append(sum(report.is_stored for report in await asyncio.gather(*futures)))

        threads = [threading.Thread(target=run, args=(main(),)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert stored == [500] * 3

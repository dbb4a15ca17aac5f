"""Metrics, statistics, and the function that gets statistics again and again."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import subprocess
import sys
import threading
import time
import warnings
import weakref
from concurrent.futures import Future
from datetime import timedelta
from pathlib import Path
from typing import Any, Callable, Optional

import pytest

import kinesis_producer as kp
from kinesis_producer import _statistics

from .conftest import LONG

SCHEMA = Path(__file__).resolve().parents[3] / "statistics.schema.json"


def is_statistics(look: dict[str, Any]) -> bool:
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.validate(look, json.loads(SCHEMA.read_text()))
    return True


def put_three(producer: kp.Producer, stream_name: str) -> None:
    stream = producer.stream(stream_name)
    assert stream.put_many([("key", b"data")] * 3).check().future.result(LONG).stored == 3


def test_values_are_given_for_the_producer_each_stream_and_each_shard(producer: kp.Producer, stream_name: str) -> None:
    assert producer.metrics("UserRecordsPut") == [], "what never had a value is not there"
    put_three(producer, stream_name)
    for window in (None, 60, timedelta(seconds=60), 60.0):
        all_of_them, stream, shard = producer.metrics("UserRecordsDataPut", window)
        numbers = {"count": 3, "sum": 12.0, "mean": 4.0, "min": 4.0, "max": 4.0}
        expected = kp.Metric("UserRecordsDataPut", "Bytes", None, None, None, **numbers)  # type: ignore[arg-type]
        assert all_of_them == expected
        assert (stream.stream, stream.shard, stream.count) == (stream_name, None, 3)
        assert (shard.stream, shard.count) == (stream_name, 3) and (shard.shard or "").startswith("shardId-")
    metrics = producer.metrics()
    assert {metric.unit for metric in metrics} == {"Count", "Bytes", "Milliseconds"}
    assert {"UserRecordsReceived", "UserRecordsPut", "RequestTime"} <= {metric.name for metric in metrics}


def test_errors_are_told_by_code(producer: kp.Producer) -> None:
    assert not producer.stream("not-there").put("key", b"x").result(LONG).is_stored
    codes = {metric.error_code for metric in producer.metrics("ErrorsByCode")}
    assert codes == {None, "ResourceNotFoundException"}


def test_a_metric_does_not_change(producer: kp.Producer, stream_name: str) -> None:
    put_three(producer, stream_name)
    with pytest.raises(AttributeError):
        producer.metrics()[0].count = 7  # type: ignore[misc]


def test_a_name_that_is_none_is_refused(producer: kp.Producer) -> None:
    with pytest.raises(kp.UnknownMetric, match="RecordsPut.*there are UserRecordsReceived, ") as caught:
        producer.metrics("RecordsPut")
    assert (caught.value.code, caught.value.name) == (-30, "UnknownMetric")
    with pytest.raises(kp.UnknownMetric):
        producer.metrics("")
    with pytest.raises(kp.InvalidArgument, match="NUL"):
        producer.metrics("User\0")
    with pytest.raises(TypeError, match="name"):
        producer.metrics(5)  # type: ignore[arg-type]


@pytest.mark.parametrize("window", [0, -1, 0.5, 1.5, 61, 2**40, float("nan"), float("inf"), timedelta(milliseconds=1500)])
def test_a_window_that_is_none_is_refused(producer: kp.Producer, window: Any) -> None:
    with pytest.raises(kp.InvalidWindow, match="window: .*1 to 60 whole seconds") as caught:
        producer.metrics(window=window)
    assert (caught.value.code, caught.value.name) == (-31, "InvalidWindow")


def test_statistics_are_what_the_schema_says(producer: kp.Producer, stream_name: str) -> None:
    assert is_statistics(producer.statistics())
    put_three(producer, stream_name)
    look = producer.statistics()
    assert is_statistics(look)
    assert look["version"] == kp.__version__
    assert look["counters"]["user_records_stored"] == 3
    assert look["streams"][stream_name]["state"] == "open"


def final_numbers(counters: kp.Counters, metrics: list[kp.Metric], look: dict[str, Any]) -> list[float]:
    assert is_statistics(look)
    assert look["counters"]["user_records_stored"] == counters.user_records_stored
    return [counters.user_records_received, counters.user_records_stored, metrics[0].sum]


@pytest.mark.parametrize("window", [None, 60])
def test_the_final_numbers_are_read_after_the_end(
    make: Callable[..., kp.Producer], stream_name: str, window: Optional[int]
) -> None:
    with make(record_max_buffered_time="1 h", record_ttl="2 h") as producer:
        stream = producer.stream(stream_name)
        assert stream.put_many([("key", b"data")] * 3).accepted == 3
    metrics = producer.metrics("UserRecordsPut", window)
    assert final_numbers(producer.counters, metrics, producer.statistics()) == [3, 3, 3.0]
    assert producer.outstanding == (0, 0, 0.0)
    with pytest.raises(kp.UnknownMetric):
        producer.metrics("RecordsPut")
    with pytest.raises(kp.Closed):
        stream.put("key", b"x")


def test_the_final_numbers_after_an_abort_count_what_failed(stuck: kp.Producer, stream_name: str) -> None:
    assert stuck.stream(stream_name).put_many([("key", b"data")] * 3).accepted == 3
    assert stuck.abort() == 3
    assert stuck.counters.user_records_failed == 3
    assert stuck.statistics()["counters"]["user_records_failed"] == 3
    assert stuck.metrics("UserRecordsReceived")[0].count == 3


def test_final_numbers_while_other_threads_close(make: Callable[..., kp.Producer], stream_name: str) -> None:
    producer = make()
    put_three(producer, stream_name)
    closed = threading.Event()
    failures: list[BaseException] = []

    def read() -> None:
        try:
            while not closed.is_set():
                metrics = producer.metrics("UserRecordsPut")
                assert final_numbers(producer.counters, metrics, producer.statistics()) == [3, 3, 3.0]
        except BaseException as failure:
            failures.append(failure)

    readers = [threading.Thread(target=read) for _ in range(3)]
    closers = [threading.Thread(target=end) for end in (producer.close, producer.abort, producer.close)]
    for thread in readers + closers:
        thread.start()
    for thread in closers:
        thread.join(LONG)
    closed.set()
    for thread in readers:
        thread.join(LONG)
    assert failures == []


def test_a_closed_producer_is_freed_when_it_goes(service: kp.LocalService) -> None:
    before = set(_statistics._watchers)

    class Application:
        """Everything of it refers to the producer, and the producer to it."""

        def __init__(self) -> None:
            settings = {"on_statistics": self.watch, "credentials": self.provide, "statistics_interval": 1}
            self.producer = kp.Producer(**{**service.producer_settings, **settings})

        def watch(self, _look: dict[str, Any]) -> None:
            pass

        def provide(self) -> kp.Credentials:
            return kp.Credentials("id", "secret")

    application = Application()
    with application.producer as producer:
        handle = producer._core.handle
    assert handle is not None and len(set(_statistics._watchers) - before) == 1
    gone = weakref.ref(application)
    del application, producer, handle
    gc.collect()
    assert gone() is None
    assert not set(_statistics._watchers) - before, "the library has freed it"


def test_a_function_gets_statistics_until_the_producer_is_closed(
    make: Callable[..., kp.Producer], stream_name: str
) -> None:
    looks: list[dict[str, Any]] = []
    enough: Future[None] = Future()
    producers: Future[kp.Producer] = Future()

    def watch(look: dict[str, Any]) -> None:
        # Everything may be done here, also what waits.
        producer = producers.result(LONG)
        assert producer.stream(stream_name).put("key", b"x").result(LONG).is_stored
        producer.flush(LONG)
        assert producer.metrics("UserRecordsPut") and is_statistics(producer.statistics())
        looks.append(look)
        if len(looks) == 3:
            enough.set_result(None)

    producer = make(on_statistics=watch, statistics_interval=timedelta(milliseconds=5))
    producers.set_result(producer)
    enough.result(LONG)
    producer.close(LONG)
    seen = len(looks)
    assert all(is_statistics(look) for look in looks)
    assert looks[1]["time_ms"] >= looks[0]["time_ms"]
    core = producer._core
    assert core.watcher is not None and not core.watcher._thread.is_alive() and len(looks) == seen


def test_what_the_function_raises_is_logged_and_ends_nothing(
    make: Callable[..., kp.Producer], caplog: pytest.LogCaptureFixture
) -> None:
    calls = 0
    twice = threading.Event()

    def watch(_look: dict[str, Any]) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            twice.set()
        raise (ValueError if calls == 1 else SystemExit)("rude")

    with caplog.at_level(logging.ERROR, logger="kinesis_producer"):
        producer = make(on_statistics=watch, statistics_interval="5 ms")
        assert twice.wait(LONG)
        producer.close()
    assert "the function for statistics failed" in caplog.text
    assert "ValueError: rude" in caplog.text and "SystemExit: rude" in caplog.text


def test_the_function_may_close_its_producer(make: Callable[..., kp.Producer]) -> None:
    producers: Future[kp.Producer] = Future()
    closed: Future[int] = Future()

    def watch(_look: dict[str, Any]) -> None:
        closed.set_result(producers.result(LONG).close(LONG))

    producers.set_result(make(on_statistics=watch, statistics_interval=5))
    assert closed.result(LONG) == 0
    core = producers.result()._core
    assert core.watcher is not None
    core.watcher.join(LONG)
    assert not core.watcher._thread.is_alive()


def test_a_slow_function_gets_the_latest_only(make: Callable[..., kp.Producer]) -> None:
    entered, go_on, again = threading.Event(), threading.Event(), threading.Event()
    calls = 0

    def watch(_look: dict[str, Any]) -> None:
        nonlocal calls
        calls += 1
        entered.set()
        go_on.wait(LONG)
        if calls == 2:
            again.set()

    producer = make(on_statistics=watch, statistics_interval=1)
    watcher = producer._core.watcher
    assert watcher is not None and entered.wait(LONG)
    for _ in range(50):
        watcher.take(b"{}")
    assert watcher._news.qsize() <= 1
    go_on.set()
    assert again.wait(LONG)
    producer.close()


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"on_statistics": print}, kp.InvalidConfig, "statistics_interval"),
        ({"on_statistics": 5, "statistics_interval": 5}, TypeError, "on_statistics"),
        ({"on_statistics": print, "statistics_interval": -5}, kp.InvalidConfig, "statistics_interval"),
    ],
)
def test_what_cannot_be_watched_is_refused(
    make: Callable[..., kp.Producer], settings: Any, error: type[Exception], words: str
) -> None:
    before = set(_statistics._watchers)
    with pytest.raises(error, match=words):
        make(**settings)
    gc.collect()
    assert not set(_statistics._watchers) - before, "the library has let it go"


def test_a_forgotten_producer_lets_its_function_go(service: kp.LocalService) -> None:
    before = set(_statistics._watchers)
    producer = kp.Producer(**service.producer_settings, on_statistics=lambda _: None, statistics_interval=1)
    watcher = producer._core.watcher
    poller = producer._core.poller
    assert watcher is not None and len(set(_statistics._watchers) - before) == 1
    with pytest.warns(ResourceWarning, match="was not closed"):
        del producer
        gc.collect()
    # Freed with the last of those that use it.
    poller.join(LONG)
    watcher.join(LONG)
    assert not watcher._thread.is_alive() and not set(_statistics._watchers) - before


class Watching:
    """Makes a producer that calls it, as a method or as a function that refers to it."""

    def __init__(self, service: kp.LocalService, kind: str) -> None:
        self.called = threading.Event()
        functions: dict[str, Callable[[dict[str, Any]], None]] = {
            "method": self.watch,
            "closure": lambda look: self.watch(look),
        }
        self.producer = kp.Producer(
            **service.producer_settings, on_statistics=functions[kind], credentials=self.provide, statistics_interval=1
        )

    def watch(self, _look: dict[str, Any]) -> None:
        self.called.set()

    def provide(self) -> kp.Credentials:
        return kp.Credentials("id", "secret")


@pytest.mark.parametrize("kind", ["method", "closure"])
def test_a_function_that_refers_to_its_producer_does_not_keep_it(service: kp.LocalService, kind: str) -> None:
    before = set(_statistics._watchers)
    watching = Watching(service, kind)
    assert watching.called.wait(LONG)
    gone = weakref.ref(watching.producer)
    watcher, poller = watching.producer._core.watcher, watching.producer._core.poller
    assert watcher is not None
    with warnings.catch_warnings(record=True) as caught:
        # A call that runs keeps it until it returns: then the thread of the calls may be the one that frees it.
        warnings.simplefilter("always")
        del watching
        patience = time.monotonic() + LONG
        while gone() is not None and time.monotonic() < patience:
            gc.collect()
        watcher.join(LONG)
        poller.join(LONG)
    assert gone() is None
    assert not watcher._thread.is_alive() and not poller.is_alive()
    assert not set(_statistics._watchers) - before
    assert ["was not closed" in str(warning.message) for warning in caught] == [True]


def test_nobody_else_has_to_keep_the_object_of_a_method(make: Callable[..., kp.Producer]) -> None:
    called = threading.Event()

    class Dashboard:
        def show(self, _look: dict[str, Any]) -> None:
            called.set()

    producer = make(on_statistics=Dashboard().show, statistics_interval=5)
    called.clear()
    gc.collect()
    assert called.wait(LONG)
    producer.close()


def test_a_producer_that_is_collected_in_its_own_call_is_freed_elsewhere(make: Callable[..., kp.Producer]) -> None:
    before = set(_statistics._watchers)
    producer = make(on_statistics=lambda _: None, statistics_interval=20)
    core, dropped = producer._core, threading.Event()
    assert core.watcher is not None

    def drop(look: bytes) -> None:
        core.abort()
        core.poller.join()
        core.forget()
        dropped.set()

    # On the library's thread.
    core.watcher.take = drop  # type: ignore[method-assign]
    assert dropped.wait(LONG)
    core.watcher.join(LONG)
    assert not core.watcher._thread.is_alive() and not set(_statistics._watchers) - before


@pytest.mark.parametrize("end", ["", "sys.exit(0)", "del producer", "producer.close()"])
def test_a_program_that_is_watched_ends(end: str) -> None:
    program = f"""
import sys, threading
import kinesis_producer as kp
service = kp.LocalService()
called = threading.Event()
producer = kp.Producer(**service.producer_settings, on_statistics=lambda look: called.set(), statistics_interval=1)
called.wait()
print("called")
{end}
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=LONG)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "called\n", "")


def test_the_same_in_asyncio(service: kp.LocalService, stream_name: str) -> None:
    async def main() -> None:
        looks: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def watch(look: dict[str, Any]) -> None:
            loop.call_soon_threadsafe(looks.put_nowait, look)

        producer = kp.AsyncProducer(
            **service.producer_settings, record_max_buffered_time=10, on_statistics=watch, statistics_interval=5
        )
        with pytest.raises(kp.Closed):
            await producer.metrics()
        with pytest.raises(kp.Closed):
            await producer.statistics()
        async with producer:
            future = await producer.stream(stream_name).put("key", b"data")
            assert (await future).is_stored
            assert (await producer.metrics("UserRecordsPut", 60))[0].count == 1
            assert is_statistics(await producer.statistics())
            assert is_statistics(await asyncio.wait_for(looks.get(), LONG))
            await producer.stream(stream_name).put("key", b"last")
        metrics = await producer.metrics("UserRecordsPut")
        assert final_numbers(producer.counters, metrics, await producer.statistics()) == [2, 2, 2.0]

    asyncio.run(main())


@pytest.mark.parametrize("name", ["metrics", "statistics"])
def test_reading_lets_the_event_loop_go_on(
    service: kp.LocalService, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    loop_went_on = threading.Event()

    def slow(*_arguments: object) -> bool:
        return loop_went_on.wait(LONG)

    async def main() -> None:
        async with kp.AsyncProducer(**service.producer_settings) as producer:
            monkeypatch.setattr(kp.Producer, name, slow)
            reading = asyncio.ensure_future(getattr(producer, name)())
            await asyncio.sleep(0)
            loop_went_on.set()
            assert await reading is True

    asyncio.run(main())

"""Flush, close, abort, threads, forgotten producers, the end of the interpreter."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
import threading
import weakref
from concurrent.futures import Future
from typing import Any, Callable

import pytest

import kinesis_producer as kp

from .conftest import LONG
from .test_put import fill


def test_flush_sends_what_lingers(make: Callable[..., kp.Producer], stream_name: str) -> None:
    producer = make(record_max_buffered_time="1 h", record_ttl="2 h")
    future = producer.stream(stream_name).put("key", b"x")
    producer.flush(LONG)
    assert future.result(LONG).is_stored


def test_a_flush_that_takes_too_long_says_what_is_left(make: Callable[..., kp.Producer]) -> None:
    # A port that nothing listens on.
    producer = make(endpoint_url="http://127.0.0.1:9")
    producer.stream("stream").put("key", b"x")
    for a_little in (0, 0.01):
        with pytest.raises(kp.TimedOut, match="1 user records are outstanding"):
            producer.flush(a_little)


def test_outstanding_counts_what_is_not_delivered(stuck: kp.Producer, stream_name: str) -> None:
    assert stuck.outstanding == (0, 0, 0.0)
    fill(stuck, stream_name)
    assert stuck.outstanding.records == 4 and stuck.outstanding.bytes == 16


def test_counters_tell_what_was_done(producer: kp.Producer, stream_name: str) -> None:
    assert producer.counters == (0,) * len(kp.Counters._fields)
    producer.stream(stream_name).put_many([("key", b"x")] * 3).check().future.result(LONG)
    counters = producer.counters
    assert (counters.user_records_received, counters.user_records_stored, counters.user_records_failed) == (3, 3, 0)
    assert counters.put_records_calls >= 1 and counters.attempts >= counters.kinesis_records_stored >= 1


def test_close_flushes_and_completes_every_future(make: Callable[..., kp.Producer], stream_name: str) -> None:
    with make(record_max_buffered_time="1 h", record_ttl="2 h") as producer:
        futures = [producer.stream(stream_name).put("key", b"x") for _ in range(100)]
    assert all(future.result(0).is_stored for future in futures)


def test_close_aborts_what_is_left_after_its_time(make: Callable[..., kp.Producer]) -> None:
    # A port that nothing listens on.
    producer = make(endpoint_url="http://127.0.0.1:9")
    futures = [producer.stream("stream").put("key", b"x") for _ in range(3)]
    assert producer.close(0) == 3
    assert [future.result(0).status for future in futures] == [kp.Status.ABORTED] * 3


def test_after_close_everything_says_closed(make: Callable[..., kp.Producer], stream_name: str) -> None:
    producer = make()
    stream = producer.stream(stream_name)
    assert producer.close() == 0 and producer.close() == 0 and producer.abort() == 0
    for use in (
        lambda: stream.put("key", b"x"),
        lambda: stream.put_many([("key", b"x")]),
        lambda: producer.stream("another"),
        lambda: producer.flush(),
    ):
        with pytest.raises(kp.Closed):
            use()
    assert producer.outstanding == (0, 0, 0.0)


@pytest.mark.parametrize("many", [False, True])
def test_a_waiting_put_ends_when_the_producer_closes(stuck: kp.Producer, stream_name: str, many: bool) -> None:
    stream = fill(stuck, stream_name)
    outcome: Future[Any] = Future()
    waits = threading.Event()

    def put() -> None:
        waits.set()
        try:
            outcome.set_result(stream.put_many([("key", b"x")] * 9) if many else stream.put("key", b"x"))
        except kp.KinesisProducerError as failure:
            outcome.set_exception(failure)

    thread = threading.Thread(target=put)
    thread.start()
    waits.wait(LONG)
    stuck.abort()
    assert isinstance(outcome.exception(LONG), kp.Closed)
    thread.join()


def test_closing_while_threads_put_loses_no_report(make: Callable[..., kp.Producer], stream_name: str) -> None:
    producer = make(max_outstanding_records=1000)
    stream = producer.stream(stream_name)
    futures: list[Future[kp.Report]] = []
    lists: list[kp.PutMany[Future[kp.ListResult]]] = []
    enough = threading.Event()

    def put() -> None:
        try:
            while True:
                futures.append(stream.put("key", b"x"))
                lists.append(stream.put_many([("key", b"y")] * 7))
                if len(futures) > 2000:
                    enough.set()
        except kp.Closed:
            enough.set()

    threads = [threading.Thread(target=put) for _ in range(4)]
    for thread in threads:
        thread.start()
    enough.wait(LONG)
    aborted = producer.close(LONG)
    for thread in threads:
        thread.join(LONG)
    assert aborted == 0
    assert all(future.result(0).is_stored for future in futures)
    assert all(many.future.result(0).stored == many.accepted for many in lists)


def test_eight_threads_put_ten_thousand_each(
    service: kp.LocalService, make: Callable[..., kp.Producer], stream_name: str
) -> None:
    threads, each = 8, 10_000
    producer = make(max_outstanding_records=5000)
    stream = producer.stream(stream_name)
    stored = [0] * threads

    def put(thread: int) -> None:
        futures = []
        for number in range(each // 2):
            futures.append(stream.put(f"thread-{thread}", b"%d" % number))
        many = stream.put_many([(f"thread-{thread}", b"%d" % number) for number in range(each // 2, each)])
        stored[thread] = sum(future.result(LONG).is_stored for future in futures) + many.check().future.result(LONG).stored

    started = [threading.Thread(target=put, args=(thread,)) for thread in range(threads)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    assert stored == [each] * threads
    found: dict[str, set[int]] = {}
    for record in service.read_user_records(stream_name):
        found.setdefault(record.partition_key, set()).add(int(record.data))
    assert found == {f"thread-{thread}": set(range(each)) for thread in range(threads)}


def test_what_callbacks_raise_or_do_stops_nothing(producer: kp.Producer, stream_name: str, caplog: Any) -> None:
    stream = producer.stream(stream_name)

    class Rude(BaseException):
        pass

    def raises(error: type[BaseException]) -> Callable[[Any], None]:
        def callback(_future: Any) -> None:
            raise error("rude")

        return callback

    again: Future[Future[kp.Report]] = Future()
    for error in (ValueError, Rude, SystemExit):
        stream.put("key", b"x").add_done_callback(raises(error))
        stream.put_many([("key", b"x")]).future.add_done_callback(raises(error))
    stream.put("key", b"x").add_done_callback(lambda _: again.set_result(stream.put("key", b"again")))
    assert again.result(LONG).result(LONG).is_stored


def test_a_callback_that_waits_for_room_is_told_that_there_is_none(
    make: Callable[..., kp.Producer], stream_name: str
) -> None:
    producer = make(max_outstanding_records=2)
    stream = producer.stream(stream_name)
    outcome: Future[Any] = Future()

    def put_too_many(_future: Any) -> None:
        try:
            for _ in range(5):
                stream.put("key", b"x")
        except kp.KinesisProducerError as failure:
            outcome.set_result(failure)

    stream.put("key", b"x").add_done_callback(put_too_many)
    assert isinstance(outcome.result(LONG), kp.QueueFull)
    producer.flush(LONG)


def test_a_callback_may_close(make: Callable[..., kp.Producer], stream_name: str) -> None:
    producer = make()
    closed: Future[int] = Future()
    producer.stream(stream_name).put("key", b"x").add_done_callback(lambda _: closed.set_result(producer.close(LONG)))
    assert closed.result(LONG) == 0
    producer._core.poller.join(LONG)
    assert not producer._core.poller.is_alive()


def test_a_forgotten_producer_is_aborted_and_freed(service: kp.LocalService) -> None:
    producer = kp.Producer(**service.producer_settings, record_max_buffered_time="1 h", record_ttl="2 h")
    stream = producer.stream("forgotten")
    future, many = stream.put("key", b"x"), stream.put_many([("key", b"x")])
    poller, handle = producer._core.poller, producer._core
    core = weakref.ref(handle)
    del handle, producer
    assert stream.put("key", b"x") is not None, "its stream keeps it alive"
    with pytest.warns(ResourceWarning, match="was not closed"):
        del stream
        gc.collect()
    poller.join(LONG)
    assert not poller.is_alive()
    assert future.result(LONG).status == kp.Status.ABORTED
    assert len(many.future.result(LONG).failures) == 1
    del poller, many
    gc.collect()
    assert core() is None


def test_reports_outlive_their_producer(make: Callable[..., kp.Producer], stream_name: str) -> None:
    with make() as producer:
        future = producer.stream(stream_name).put("key", b"x")
    del producer
    gc.collect()
    assert (future.result(0).shard_id or "").startswith("shardId-")


@pytest.mark.parametrize("end", ["", "sys.exit(0)", "del producer, stream"])
def test_a_program_that_does_not_close_ends(end: str) -> None:
    program = f"""
import logging, sys
logging.basicConfig(level=logging.DEBUG, filename="/dev/null")
import kinesis_producer as kp
service = kp.LocalService()
service.create_stream("s")
producer = kp.Producer(**service.producer_settings, record_max_buffered_time="1 h", record_ttl="2 h")
stream = producer.stream("s")
for _ in range(1000):
    stream.put("key", b"x")
print("put")
{end}
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=LONG)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "put\n", "")


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers")
def test_a_signal_gets_through_to_a_waiting_put(stuck: kp.Producer, stream_name: str) -> None:
    class Signalled(Exception):
        pass

    def handle(_number: int, _frame: Any) -> None:
        raise Signalled

    stream = fill(stuck, stream_name)
    before = signal.signal(signal.SIGALRM, handle)
    try:
        for put in (lambda: stream.put("key", b"x"), lambda: stream.put_many([("key", b"x")])):
            signal.setitimer(signal.ITIMER_REAL, 0.01)
            with pytest.raises(Signalled):
                put()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert len(stuck._core.waiting) == 4 and not stuck._core.lists

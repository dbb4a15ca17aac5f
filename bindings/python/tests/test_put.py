"""Puts of one user record: reports, refusals, waiting for room."""

from __future__ import annotations

import array
import threading
from concurrent.futures import Future, as_completed
from datetime import timedelta
from typing import Any, Callable

import pytest

import kinesis_producer as kp
from kinesis_producer._core import ReportFuture

from .conftest import LONG


def test_a_report_says_where_the_user_record_is(
    service: kp.LocalService, producer: kp.Producer, stream_name: str
) -> None:
    report = producer.stream(stream_name).put("key", b"data").result(LONG)
    assert report.is_stored and report.status == kp.Status.STORED and report.stored == kp.Stored.YES
    assert report.error_code is None and report.error_message is None and report.user_record is None
    assert report.sub_sequence_number is None
    assert report.attempts_total == 1 and 0 < report.latency < LONG
    (attempt,) = report.attempts
    assert attempt.error_code is None and attempt.error_message is None and attempt.duration > 0
    (stored,) = service.read_stream(stream_name)
    assert (stored.shard_id, stored.sequence_number) == (report.shard_id, report.sequence_number)
    assert (stored.partition_key, stored.data) == ("key", b"data")
    assert "stored in shardId" in repr(report)


def test_user_records_of_an_aggregate_have_places(make: Callable[..., kp.Producer], stream_name: str) -> None:
    with make(record_max_buffered_time="1 h", record_ttl="2 h") as producer:
        futures = [producer.stream(stream_name).put("one-key", b"%d" % number) for number in range(3)]
    reports = [future.result(0) for future in futures]
    assert [report.sub_sequence_number for report in reports] == [0, 1, 2]
    assert len({report.sequence_number for report in reports}) == 1


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, lambda data: array.array("H", data)])
def test_any_bytes_are_data(
    service: kp.LocalService, producer: kp.Producer, stream_name: str, kind: Callable[[bytes], Any]
) -> None:
    data = bytes(range(256))
    producer.stream(stream_name).put("key", kind(data)).result(LONG)
    result = producer.stream(stream_name).put_many([("key", kind(data))] * 2).check().future.result(LONG)
    assert result.stored == 2
    assert [record.data for record in service.read_user_records(stream_name)] == [data] * 3


@pytest.mark.parametrize("hash_key", [0, 2**128 - 1, "17"])
def test_an_explicit_hash_key_names_the_shard(
    service: kp.LocalService, producer: kp.Producer, stream_name: str, hash_key: Any
) -> None:
    report = producer.stream(stream_name).put("key", b"", explicit_hash_key=hash_key).result(LONG)
    assert report.shard_id == ("shardId-000000000001" if hash_key == 2**128 - 1 else "shardId-000000000000")


@pytest.mark.parametrize(
    ("key", "data", "hash_key", "error"),
    [
        ("", b"", None, kp.InvalidPartitionKey),
        ("k" * 257, b"", None, kp.InvalidPartitionKey),
        ("\ud800", b"", None, kp.InvalidPartitionKey),
        ("k", b"x" * (2**20 + 1), None, kp.RecordTooLarge),
        ("k", b"", "x", kp.InvalidHashKey),
        ("k", b"", "", kp.InvalidHashKey),
        ("k", b"", -1, kp.InvalidHashKey),
        ("k", b"", 2**128, kp.InvalidHashKey),
    ],
)
def test_a_refusal_has_code_and_message_and_keeps_nothing(
    producer: kp.Producer, stream_name: str, key: str, data: bytes, hash_key: Any, error: type[kp.KinesisProducerError]
) -> None:
    stream = producer.stream(stream_name)
    with pytest.raises(error) as caught:
        stream.put(key, data, explicit_hash_key=hash_key)
    assert caught.value.name == error.__name__ and caught.value.code < 0 and caught.value.message == str(caught.value) != ""
    many = stream.put_many([("good", b"1", None), (key, data, hash_key), ("good", b"2", None)])
    assert many.accepted == 1 and type(many.stopped) is error
    with pytest.raises(error):
        many.check()
    assert many.future.result(LONG).stored == 1
    assert producer.outstanding.records == 0


@pytest.mark.parametrize("wrong", ["text", 5, None, object()])
def test_what_is_no_data_is_a_type_error(producer: kp.Producer, stream_name: str, wrong: Any) -> None:
    stream = producer.stream(stream_name)
    with pytest.raises(TypeError):
        stream.put("key", wrong)
    with pytest.raises(TypeError):
        stream.put_many([("good", b""), ("key", wrong)])
    with pytest.raises((TypeError, AttributeError)):
        stream.put(5, b"")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        stream.put("key", b"", explicit_hash_key=1.5)  # type: ignore[arg-type]
    assert producer.outstanding.records == 0 and not producer._core.waiting and not producer._core.lists


@pytest.mark.parametrize("timeout", [-1, float("nan"), timedelta(seconds=-1)])
def test_a_timeout_below_zero_is_refused(producer: kp.Producer, stream_name: str, timeout: Any) -> None:
    with pytest.raises(kp.InvalidArgument, match="timeout"):
        producer.stream(stream_name).put("key", b"", timeout=timeout)


def fill(producer: kp.Producer, name: str) -> kp.Stream:
    stream = producer.stream(name)
    for number in range(4):
        stream.put("key", b"%d" % number, timeout=0)
    return stream


def test_a_full_queue_refuses_at_once_or_after_a_time(stuck: kp.Producer, stream_name: str) -> None:
    stream = fill(stuck, stream_name)
    for nothing in (0, timedelta(0)):
        with pytest.raises(kp.QueueFull):
            stream.put("key", b"", timeout=nothing)
    for a_little in (0.01, timedelta(milliseconds=10)):
        with pytest.raises(kp.TimedOut):
            stream.put("key", b"", timeout=a_little)
    assert stuck.outstanding.records == 4
    many = stream.put_many([("key", b"")], timeout=0)
    assert many.accepted == 0 and isinstance(many.stopped, kp.QueueFull) and many.future.result(0).accepted == 0
    assert isinstance(stream.put_many([("key", b"")], timeout=0.01).stopped, kp.TimedOut)


def test_a_put_waits_for_room(stuck: kp.Producer, stream_name: str) -> None:
    stream = fill(stuck, stream_name)
    done: Future[kp.Report] = Future()

    def put() -> None:
        done.set_result(stream.put("key", b"last").result(LONG))

    thread = threading.Thread(target=put)
    thread.start()
    stuck.flush(LONG)
    while not done.done():
        stuck.flush(LONG)
    thread.join(LONG)
    assert done.result().is_stored


def test_a_list_larger_than_the_room_goes_through(
    service: kp.LocalService, make: Callable[..., kp.Producer], stream_name: str
) -> None:
    producer = make(max_outstanding_records=10, record_max_buffered_time=1)
    records = [(f"é{number}", b"%d" % number, number if number % 2 else None) for number in range(500)]
    result = producer.stream(stream_name).put_many(records, timeout=LONG, report="all").check().future.result(LONG)
    assert result.stored == 500 and len(result.reports) == 500
    found = {record.partition_key: record for record in service.read_user_records(stream_name)}
    assert len(found) == 500
    for key, data, hash_key in records:
        expected = str(hash_key) if hash_key is not None else None
        assert (found[key].data, found[key].explicit_hash_key) == (data, expected)


def test_waiting_puts_of_a_full_queue_get_room_as_reports_are_taken(
    make: Callable[..., kp.Producer], stream_name: str
) -> None:
    producer = make(max_outstanding_records=1, record_max_buffered_time=0)
    stream = producer.stream(stream_name)
    futures = [stream.put("key", b"x", timeout=LONG) for _ in range(200)]
    assert all(future.result(LONG).is_stored for future in futures)


def test_futures_are_futures_of_the_standard_library(producer: kp.Producer, stream_name: str) -> None:
    stream = producer.stream(stream_name)
    futures = [stream.put("key", b"x") for _ in range(20)]
    assert vars(Future()).keys() == vars(futures[0]).keys()
    assert {future.result().is_stored for future in as_completed(futures, LONG)} == {True}
    assert futures[0].exception() is None
    cancelled = stream.put("key", b"x")
    assert cancelled.cancel()
    assert stream.put("key", b"x").result(LONG).is_stored


def test_a_future_that_is_not_done_times_out(stuck: kp.Producer, stream_name: str) -> None:
    future = stuck.stream(stream_name).put("key", b"x")
    with pytest.raises(TimeoutError if isinstance(TimeoutError(), _futures_timeout()) else _futures_timeout()):
        future.result(0.001)
    assert isinstance(future, ReportFuture) and not future.done()


def _futures_timeout() -> type[BaseException]:
    from concurrent.futures import TimeoutError as futures_timeout

    return futures_timeout


def test_a_failed_user_record_comes_back(make: Callable[..., kp.Producer], stream_name: str) -> None:
    producer = make(return_user_record_on_failure=True, record_max_buffered_time="1 h", record_ttl="2 h")
    stream = producer.stream(stream_name)
    future = stream.put("key", b"a\0b", explicit_hash_key=7)
    many = stream.put_many([("k", b"0"), ("k", b"1")])
    assert producer.abort() == 3
    report = future.result(LONG)
    assert not report.is_stored and report.status == kp.Status.ABORTED and report.stored == kp.Stored.NO
    assert report.error_code == "Aborted" and report.user_record == kp.FailedRecord("key", b"a\0b", "7")
    assert report.shard_id is None and report.sequence_number is None and "ABORTED" in repr(report)
    result = many.future.result(LONG)
    assert result.stored == 0 and [place for place, _ in result.failures] == [0, 1]
    assert [failure.user_record.data for _, failure in result.failures if failure.user_record] == [b"0", b"1"]
    with pytest.raises(ValueError, match="report="):
        _ = result.reports


def test_a_stream_that_is_not_there_fails_in_the_service_s_words(producer: kp.Producer) -> None:
    report = producer.stream("nowhere").put("key", b"x").result(LONG)
    assert report.status == kp.Status.SERVICE and report.error_code == "ResourceNotFoundException"
    assert "nowhere" in (report.error_message or "")

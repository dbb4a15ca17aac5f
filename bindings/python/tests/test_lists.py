"""Puts of lists: columns, places, results."""

from __future__ import annotations

from collections import Counter
from typing import Any, Callable

import pytest

import kinesis_producer as kp

from .conftest import LONG


def test_a_list_is_stored_in_order(service: kp.LocalService, producer: kp.Producer, stream_name: str) -> None:
    records = [("one-key", b"%d" % number) for number in range(5000)]
    many = producer.stream(stream_name).put_many(iter(records), report="all")
    assert many.accepted == 5000 and many.stopped is None and many.check() is many
    result = many.future.result(LONG)
    assert result.stored == result.accepted == 5000 and result.failures == []
    found = service.read_user_records(stream_name)
    assert [(record.partition_key, record.data) for record in found] == records
    places = [(report.sequence_number, report.sub_sequence_number) for report in result.reports]
    assert places == sorted(places, key=lambda place: (int(place[0] or 0), place[1] or 0))
    assert result.reports is result.reports


def test_columns_are_a_list_too(service: kp.LocalService, producer: kp.Producer, stream_name: str) -> None:
    stream = producer.stream(stream_name)
    result = stream.put_columns(["a", "bb"], [b"", memoryview(b"x")]).check().future.result(LONG)
    assert result.stored == 2
    stream.put_columns(["c", "d"], [b"y", b"z"], [2**127, 2**127]).future.result(LONG)
    found = Counter((r.partition_key, r.data, r.explicit_hash_key) for r in service.read_user_records(stream_name))
    half = str(2**127)
    assert found == Counter([("a", b"", None), ("bb", b"x", None), ("c", b"y", half), ("d", b"z", half)])


def test_columns_of_different_lengths_are_refused(producer: kp.Producer, stream_name: str) -> None:
    stream = producer.stream(stream_name)
    with pytest.raises(ValueError, match="1 partition keys, 2 payloads"):
        stream.put_columns(["a"], [b"", b""])
    with pytest.raises(ValueError, match="0 explicit hash keys"):
        stream.put_columns(["a"], [b""], [])


def test_an_empty_list_is_done_at_once(producer: kp.Producer, stream_name: str) -> None:
    many = producer.stream(stream_name).put_many([], report="all")
    assert many.accepted == 0 and many.stopped is None
    assert many.future.result(0).reports == []


def test_fire_and_forget_has_no_future(service: kp.LocalService, producer: kp.Producer, stream_name: str) -> None:
    many = producer.stream(stream_name).put_many([("k", b"%d" % number) for number in range(100)], report=None)
    assert many.accepted == 100 and many.future is None
    producer.close(LONG)
    assert len(service.read_user_records(stream_name)) == 100


@pytest.mark.parametrize("records", [[("a",)], [("a", b"", None, 1)], [5], 5, [("a", b""), ("b", b"", "x", "y")]])
def test_what_is_no_list_of_user_records_is_refused(producer: kp.Producer, stream_name: str, records: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        producer.stream(stream_name).put_many(records)
    assert producer.outstanding.records == 0


def test_lists_and_single_puts_mix(make: Callable[..., kp.Producer], stream_name: str) -> None:
    stream = make(record_max_buffered_time=50).stream(stream_name)
    lists = [stream.put_many([("k", b"l")] * 30) for _ in range(20)]
    single = [stream.put("k", b"s") for _ in range(30)]
    forgotten = stream.put_many([("k", b"f")] * 10, report=None)
    assert forgotten.accepted == 10
    assert [many.future.result(LONG).stored for many in lists] == [30] * 20
    assert all(future.result(LONG).is_stored for future in single)
    core = stream._core
    assert not core.waiting and not core.lists

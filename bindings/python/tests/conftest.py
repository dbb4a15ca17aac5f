"""A local service for all tests, a stream and a producer for each."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, Callable

import pytest

from kinesis_producer import LocalService, Producer

_numbers = itertools.count()

#: Longer than anything takes here: a test that waits so long has failed.
LONG = 30


@pytest.fixture(scope="session")
def service() -> Iterator[LocalService]:
    with LocalService() as service:
        yield service


@pytest.fixture
def stream_name(service: LocalService) -> str:
    name = f"stream-{next(_numbers)}"
    service.create_stream(name, shards=2)
    return name


@pytest.fixture
def make(service: LocalService) -> Iterator[Callable[..., Producer]]:
    """Makes producers for the local service; what a test leaves open is aborted."""
    made: list[Producer] = []

    def make(**settings: Any) -> Producer:
        made.append(Producer(**{**service.producer_settings, "record_max_buffered_time": 10, **settings}))
        return made[-1]

    yield make
    for producer in made:
        producer.abort()


@pytest.fixture
def producer(make: Callable[..., Producer]) -> Producer:
    return make()


@pytest.fixture
def stuck(make: Callable[..., Producer]) -> Producer:
    """A producer with room for four user records, which it keeps for as long as the test lasts."""
    return make(max_outstanding_records=4, record_max_buffered_time="1 h", record_ttl="2 h")

"""Children of a fork: what came from the parent says Forked, a producer of one's own works, and the end does not hang."""

from __future__ import annotations

import multiprocessing
import os
import sys
from typing import Any, Callable

import pytest

import kinesis_producer as kp

from .conftest import LONG

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork"),
    # What it warns of is what is tested here.
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]


def names_of_failures(producer: kp.Producer, stream: kp.Stream, service: kp.LocalService) -> list[str]:
    names = []
    for use in (
        lambda: stream.put("key", b"x"),
        lambda: stream.put_many([("key", b"x")]),
        lambda: producer.stream("another"),
        lambda: producer.flush(),
        lambda: producer.close(),
        lambda: producer.abort(),
        lambda: producer.outstanding,
        lambda: producer.metrics(),
        lambda: producer.statistics(),
        lambda: service.create_stream("s"),
    ):
        try:
            use()
            names.append("none")
        except kp.KinesisProducerError as failure:
            names.append(failure.name)
    return names


def in_child(results: Any, producer: kp.Producer, stream: kp.Stream, service: kp.LocalService, name: str) -> None:
    results.put(names_of_failures(producer, stream, service))
    with kp.Producer(**service.producer_settings) as own:
        results.put(own.stream(name).put("key", b"child").result(LONG).is_stored)
    del producer, stream


def test_a_child_makes_its_own_producer(
    service: kp.LocalService, make: Callable[..., kp.Producer], stream_name: str
) -> None:
    producer = make(record_max_buffered_time="1 h", record_ttl="2 h")
    stream = producer.stream(stream_name)
    future = stream.put("key", b"parent")
    context: Any = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    child = context.Process(target=in_child, args=(results, producer, stream, service, stream_name))
    child.start()
    assert results.get() == ["Forked"] * 10
    assert results.get() is True
    child.join(LONG)
    assert child.exitcode == 0
    # The parent's is as it was.
    producer.flush(LONG)
    assert future.result(LONG).is_stored
    assert sorted(record.data for record in service.read_user_records(stream_name)) == [b"child", b"parent"]


def test_a_child_that_leaves_the_block_of_its_parent_ends(service: kp.LocalService, stream_name: str) -> None:
    """A whole interpreter goes down in the child, with its exit handlers."""
    program = f"""
import os, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)
import kinesis_producer as kp
with kp.Producer(**{service.producer_settings!r}) as producer:
    future = producer.stream("{stream_name}").put("key", b"x")
    child = os.fork()
if child:
    _, status = os.waitpid(child, 0)
    assert future.result(0).is_stored
    sys.exit(os.waitstatus_to_exitcode(status))
"""
    import subprocess

    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=LONG)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_exceptions_cross_processes() -> None:
    import pickle

    failure = kp.QueueFull(-1, "QueueFull", "no room")
    again = pickle.loads(pickle.dumps(failure))
    assert type(again) is kp.QueueFull and (again.code, again.name, str(again)) == (-1, "QueueFull", "no room")

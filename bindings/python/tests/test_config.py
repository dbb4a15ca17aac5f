"""Settings, errors, logs, credentials."""

from __future__ import annotations

import itertools
import logging
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Callable

import pytest

import kinesis_producer as kp
from kinesis_producer import _abi, errors
from kinesis_producer._config import milliseconds

from .conftest import LONG

HEADER = Path(__file__).resolve().parents[3] / "include" / "kinesis_producer.h"


def test_python_values_are_settings(service: kp.LocalService, tmp_path: Path, stream_name: str) -> None:
    properties = tmp_path / "default_config.properties"
    properties.write_text("RecordTtl = 20000\nMaxConnections = 3\n")
    with kp.Producer(
        **service.producer_settings,
        properties_file=properties,
        streams={stream_name: {"ordering": "shard", "record_ttl": timedelta(seconds=5)}},
        aggregation_enabled=False,
        record_max_buffered_time=timedelta(milliseconds=1.5),
        worker_threads=1,
        rate_limit=100,
        session_token=None,
    ) as producer:
        futures = [producer.stream(stream_name).put("key", b"x") for _ in range(3)]
        assert {future.result(LONG).sub_sequence_number for future in futures} == {None}, "nothing is aggregated"


def test_everything_that_is_wrong_is_named_at_once(make: Callable[..., kp.Producer]) -> None:
    with pytest.raises(kp.InvalidConfig) as caught:
        make(record_ttl=50, nonsense=1, aggregation_enabled="maybe", streams={"orders": {"ordering": "chaos"}})
    for wrong in ("record_ttl", "nonsense", "aggregation_enabled", "ordering"):
        assert wrong in caught.value.message
    assert (caught.value.code, caught.value.name) == (-20, "InvalidConfig")


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"region": "a\0b"}, kp.InvalidArgument, "NUL"),
        ({"region": "\ud800"}, kp.InvalidArgument, "Unicode"),
        ({"region": b"x"}, TypeError, "region"),
        ({"properties_file": "/nowhere/at/all"}, kp.Io, "/nowhere/at/all"),
        ({"ca_cert_file": "/nowhere.pem", "endpoint_url": "https://127.0.0.1:9"}, kp.Io, "/nowhere.pem"),
        ({"max_outstanding_bytes": 1}, kp.InvalidConfig, "max_outstanding_bytes"),
    ],
)
def test_bad_settings_are_refused(
    make: Callable[..., kp.Producer], settings: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        make(**settings)


@pytest.mark.parametrize("name", ["", "with space", "x" * 129, "a\0b", "\ud800"])
def test_bad_stream_names_are_refused(producer: kp.Producer, name: str) -> None:
    with pytest.raises((kp.InvalidStreamName, kp.InvalidArgument)) as caught:
        producer.stream(name)
    assert caught.value.message


def test_times_are_milliseconds_for_the_library() -> None:
    assert milliseconds(None) == milliseconds(float("inf")) == _abi.WAIT_FOREVER
    assert [milliseconds(t) for t in (0, 0.0001, 1, 1.5, timedelta(seconds=2))] == [0, 1, 1000, 1500, 2000]


def test_every_code_of_the_header_has_its_class() -> None:
    lines = [line.split() for line in HEADER.read_text().splitlines() if line.startswith("#define KP_ERR_")]
    names = {int(code): name for _, name, code in lines}
    assert names.keys() == errors.CLASSES.keys()
    for code, name in names.items():
        assert errors.CLASSES[code].__name__.lower() == name[len("KP_ERR_") :].replace("_", "").lower()
        assert issubclass(errors.CLASSES[code], kp.KinesisProducerError)
        failure = errors.from_status(code)
        assert failure.code == code and failure.name == type(failure).__name__ and failure.message
    assert type(errors.from_status(-999)) is kp.KinesisProducerError


def test_every_function_of_the_header_that_is_used_is_there() -> None:
    header = HEADER.read_text()
    for name in itertools.chain(_abi._FUNCTIONS, _abi._LOCAL_FUNCTIONS):
        assert f"{name}(" in header


def test_the_version_is_the_library_s() -> None:
    assert kp.__version__.count(".") == 2


def test_a_library_that_is_not_there_is_an_import_error() -> None:
    program = "import kinesis_producer"
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env={"KINESIS_PRODUCER_LIBRARY": "/nowhere.so", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        timeout=LONG,
    )
    assert ran.returncode == 1 and "ImportError" in ran.stderr and "/nowhere.so" in ran.stderr


def test_log_lines_go_to_logging(make: Callable[..., kp.Producer], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="kinesis_producer")
    came = _wait_for_line(lambda: make().stream("not-there").put("key", b"x").result(LONG))
    assert came.name == "kinesis_producer" and came.levelno >= logging.INFO


def _wait_for_line(action: Callable[[], object]) -> logging.LogRecord:
    import queue
    from logging.handlers import QueueHandler

    lines: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    handler = QueueHandler(lines)
    logger = logging.getLogger("kinesis_producer")
    logger.addHandler(handler)
    try:
        action()
        return lines.get(timeout=LONG)
    finally:
        logger.removeHandler(handler)


def test_credentials_come_from_a_function(service: kp.LocalService, stream_name: str) -> None:
    asked = []

    def provide() -> kp.Credentials:
        asked.append(1)
        return kp.Credentials("key", "secret", "token", datetime.now(timezone.utc) + timedelta(hours=1))

    settings: dict[str, Any] = {"endpoint_url": service.endpoint_url, "region": "us-east-1"}
    with kp.Producer(credentials=provide, **settings) as producer:
        assert producer.stream(stream_name).put("key", b"x").result(LONG).is_stored
    assert asked


def test_credentials_that_fail_are_logged(service: kp.LocalService, caplog: pytest.LogCaptureFixture) -> None:
    def provide() -> kp.Credentials:
        raise ValueError("no credentials today")

    settings: dict[str, Any] = {"endpoint_url": service.endpoint_url, "region": "us-east-1"}
    try:
        with kp.Producer(credentials=provide, record_ttl=100, **settings) as producer:
            assert not producer.stream("any").put("key", b"x").result(LONG).is_stored
    except kp.NoCredentials:
        pass
    assert "no credentials today" in caplog.text

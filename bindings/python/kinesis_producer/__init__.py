"""What the Amazon Kinesis Producer Library does, inside this process.

    with Producer(region="eu-west-1") as producer:
        orders = producer.stream("orders")
        report = orders.put("customer-17", b"one espresso").result()
        print(report.shard_id, report.sequence_number)
"""

from __future__ import annotations

from . import errors
from ._abi import lib as _lib
from ._deaggregate import UserRecord, deaggregate
from .aio import AsyncProducer, AsyncStream
from .credentials import Credentials
from .errors import (
    Closed,
    Forked,
    InvalidAggregate,
    InvalidArgument,
    InvalidConfig,
    InvalidHashKey,
    InvalidPartitionKey,
    InvalidStreamName,
    InvalidWindow,
    Io,
    KinesisProducerError,
    NoCredentials,
    NoRegion,
    Panic,
    Poisoned,
    QueueFull,
    RecordTooLarge,
    Runtime,
    TimedOut,
    UnknownMetric,
    WrongReportMode,
    WrongThread,
)
from .local import LocalService, StoredRecord
from .metrics import Metric
from .producer import Counters, Outstanding, Producer, Stream
from .put_many import ListResult, PutMany
from .report import Attempt, FailedRecord, Report, Status, Stored

#: The version of the library that runs.
__version__ = errors.text(_lib.kp_version())

__all__ = [
    "AsyncProducer",
    "AsyncStream",
    "Attempt",
    "Closed",
    "Counters",
    "Credentials",
    "FailedRecord",
    "Forked",
    "InvalidAggregate",
    "InvalidArgument",
    "InvalidConfig",
    "InvalidHashKey",
    "InvalidPartitionKey",
    "InvalidStreamName",
    "InvalidWindow",
    "Io",
    "KinesisProducerError",
    "ListResult",
    "LocalService",
    "Metric",
    "NoCredentials",
    "NoRegion",
    "Outstanding",
    "Panic",
    "Poisoned",
    "Producer",
    "PutMany",
    "QueueFull",
    "RecordTooLarge",
    "Report",
    "Runtime",
    "Status",
    "Stored",
    "StoredRecord",
    "Stream",
    "TimedOut",
    "UnknownMetric",
    "UserRecord",
    "WrongReportMode",
    "WrongThread",
    "deaggregate",
    "errors",
]

"""The load driver: puts numbered user records as fast as they go, or at a rate, and says what it cost.

    python benches/load.py --endpoint-url https://127.0.0.1:4567 --ca-file ca.pem --keys 1000

A payload begins with the producer id (u32) and a sequence number (u64 from 0), both big endian; the partition key is
`partition-key-` and the sequence number modulo the number of keys: any far end can check loss, duplicates and order. Latency is
from the call of the put, so the wait for room is in it, until the report is seen. `failed` counts what was certainly not stored.
The last line of the output is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any, Optional

import kinesis_producer as kp

HEADER = 12
BATCH = 1024
# Steps of latency in a second.
_STEPS = 20_000


class Tally:
    """Reports, counted, by the one thread that sees them. Latencies go into steps, so that memory stays flat."""

    def __init__(self) -> None:
        self.stored = 0
        self.possibly_stored = 0
        self.failed: Counter[str] = Counter()
        self.first_failure: Optional[str] = None
        self.latencies: Counter[int] = Counter()
        self.max_latency = 0.0

    def count(self, stored: int, failures: list[kp.Report], latency: float) -> None:
        self.stored += stored
        self.latencies[int(latency * _STEPS)] += stored + len(failures)
        if latency > self.max_latency:
            self.max_latency = latency
        for report in failures:
            if self.first_failure is None:
                self.first_failure = repr(report)
            if report.stored == kp.Stored.POSSIBLY:
                self.possibly_stored += 1
            else:
                self.failed[report.error_code or ""] += 1

    @property
    def reported(self) -> int:
        return self.stored + self.possibly_stored + sum(self.failed.values())

    def percentile(self, percent: float) -> Optional[float]:
        """In milliseconds."""
        left = sum(self.latencies.values()) * percent / 100
        for step in sorted(self.latencies):
            left -= self.latencies[step]
            if left <= 0:
                return round(min((step + 1) / _STEPS, self.max_latency) * 1e3, 3)
        return None

    def to_json(self, seconds: float, cpu: float, counters: kp.Counters) -> str:
        records = self.reported
        names = {"p50_ms": 50.0, "p90_ms": 90.0, "p99_ms": 99.0, "p999_ms": 99.9, "max_ms": 100.0}
        return json.dumps(
            {
                "records": records,
                "seconds": round(seconds, 3),
                "records_per_second": round(records / max(seconds, 1e-9)),
                "cpu_us_per_record": round(cpu * 1e6 / max(records, 1), 3),
                **{name: self.percentile(percent) for name, percent in names.items()},
                "rss_mb": round(_peak_rss_mb(), 1),
                "stored": self.stored,
                "possibly_stored": self.possibly_stored,
                "failed": dict(self.failed),
                "attempts": counters.attempts,
                "put_records_calls": counters.put_records_calls,
            }
        )


def _peak_rss_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 1024


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


class Load:
    """The user records: sequence number n has partition key n modulo the number of keys."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.records = int(options.records)
        self.size = int(options.size)
        self.keys: int = self.records if options.keys == "unique" else int(options.keys)
        producer_id = int(options.producer_id)
        self._id = producer_id.to_bytes(4, "big")
        self._filler = (b"0123456789abcdef" * (self.size // 16 + 1))[HEADER : self.size]
        # Made once: it is the put that is measured. Unique keys have to be made as they come.
        few = self.keys <= 100_000
        self._key_texts = [f"partition-key-{key:06}" for key in range(self.keys)] if few else None

    def key(self, sequence: int) -> str:
        if self._key_texts is not None:
            return self._key_texts[sequence % self.keys]
        return f"partition-key-{sequence % self.keys:06}"

    def lists(self) -> Iterator[list[tuple[str, bytes]]]:
        head, filler, key = self._id, self._filler, self.key
        for start in range(0, self.records, BATCH):
            numbers = range(start, min(start + BATCH, self.records))
            yield [(key(number), head + number.to_bytes(8, "big") + filler) for number in numbers]


class Pace:
    """When each user record is due, if there is a rate."""

    def __init__(self, rate: Optional[float]) -> None:
        self._rate = rate
        self._start = time.perf_counter()

    def delay(self, sequence: int) -> float:
        if self._rate is None:
            return 0.0
        return self._start + sequence / self._rate - time.perf_counter()


def put_many(producer: kp.Producer, options: argparse.Namespace, load: Load, tally: Tally) -> None:
    stream = producer.stream(options.stream)
    pace, sequence = Pace(options.rate), 0
    for records in load.lists():
        delay = pace.delay(sequence)
        if delay > 0:
            time.sleep(delay)
        put_at = time.perf_counter()

        def seen(future: Any, put_at: float = put_at) -> None:
            result = future.result()
            tally.count(result.stored, [report for _, report in result.failures], time.perf_counter() - put_at)

        stream.put_many(records).check().future.add_done_callback(seen)
        sequence += len(records)
    producer.flush()


def put_single(producer: kp.Producer, options: argparse.Namespace, load: Load, tally: Tally) -> None:
    stream = producer.stream(options.stream)
    pace, sequence = Pace(options.rate), 0
    for records in load.lists():
        for key, data in records:
            delay = pace.delay(sequence) if options.rate else 0
            if delay > 0:
                time.sleep(delay)
            put_at = time.perf_counter()
            stream.put(key, data).add_done_callback(partial(count_one, put_at, tally))
            sequence += 1
    producer.flush()


def count_one(put_at: float, tally: Tally, future: Any) -> None:
    report = future.result()
    if report.is_stored:
        tally.count(1, [], time.perf_counter() - put_at)
    else:
        tally.count(0, [report], time.perf_counter() - put_at)


async def put_async(options: argparse.Namespace, load: Load, tally: Tally, settings: dict[str, Any]) -> kp.Counters:
    async with kp.AsyncProducer(**settings) as producer:
        stream = producer.stream(options.stream)
        pace, sequence = Pace(options.rate), 0
        for records in load.lists():
            for key, data in records:
                delay = pace.delay(sequence) if options.rate else 0
                if delay > 0:
                    await asyncio.sleep(delay)
                put_at = time.perf_counter()
                (await stream.put(key, data)).add_done_callback(partial(count_one, put_at, tally))
                sequence += 1
        await producer.flush()
        return producer.counters


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--endpoint-url", metavar="URL", help="the service's URL instead of AWS; credentials are then made up")
    parser.add_argument("--region", help="the AWS region [default: the environment's; us-east-1 with --endpoint-url]")
    parser.add_argument("--ca-file", metavar="FILE", help="certificate authorities to trust besides the system's")
    parser.add_argument("--stream", default="load", help="the stream, which must exist")
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--size", type=int, default=100, help=f"bytes of each payload, {HEADER} or more")
    parser.add_argument("--keys", default="1000", help='different partition keys, or "unique"')
    parser.add_argument("--outstanding", metavar="RECORDS", help="user records outstanding at most: puts wait beyond it")
    parser.add_argument("--rate", type=float, help="user records a second [default: as many as go]")
    parser.add_argument("--buffered-ms", metavar="MS", help="how long a user record waits for others")
    parser.add_argument("--ttl-ms", metavar="MS", help="when a user record is given up")
    parser.add_argument("--producer-id", type=int, default=1, help="the first four bytes of each payload")
    parser.add_argument("--put", choices=["many", "single", "async"], default="many")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="any other setting")
    options = parser.parse_args()
    if options.size < HEADER:
        parser.error(f"--size {options.size} is below {HEADER}: a payload begins with producer id and sequence number")
    if options.keys != "unique" and not (options.keys.isdigit() and int(options.keys) > 0):
        parser.error('--keys: a number from 1, or "unique", is expected')
    if any("=" not in setting for setting in options.set):
        parser.error("--set: KEY=VALUE is expected")
    return options


def settings_of(options: argparse.Namespace) -> dict[str, Any]:
    settings: dict[str, Any] = {"region": options.region, "ca_cert_file": options.ca_file}
    if options.endpoint_url:
        settings["region"] = options.region or "us-east-1"
        settings.update(endpoint_url=options.endpoint_url, access_key_id="load", secret_access_key="load")
    settings["max_outstanding_records"] = options.outstanding
    settings["record_max_buffered_time"] = options.buffered_ms
    settings["record_ttl"] = options.ttl_ms
    settings.update(setting.split("=", 1) for setting in options.set)
    return settings


def main() -> int:
    options = parse()
    # Tens of thousands of futures are outstanding: with the default, the collector walks over them again and again.
    gc.set_threshold(100_000)
    load, tally, settings = Load(options), Tally(), settings_of(options)
    cpu, start = _cpu(), time.perf_counter()
    if options.put == "async":
        counters = asyncio.run(put_async(options, load, tally, settings))
    else:
        with kp.Producer(**settings) as producer:
            cpu, start = _cpu(), time.perf_counter()
            (put_many if options.put == "many" else put_single)(producer, options, load, tally)
            producer.flush()
            counters = producer.counters
    seconds, cpu = time.perf_counter() - start, _cpu() - cpu
    if tally.first_failure is not None:
        print(f"error: not stored: {tally.first_failure}", file=sys.stderr)
    print(tally.to_json(seconds, cpu, counters))
    return 0 if tally.stored == options.records == tally.reported else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except kp.KinesisProducerError as failure:
        sys.exit(f"error: {failure}")

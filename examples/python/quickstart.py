"""Puts the lines of a text file into an embedded local service, reads the stream back and compares line by line.

    pip install ./bindings/python
    python examples/python/quickstart.py [FILE]
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from kinesis_producer import LocalService, Producer

README = Path(__file__).resolve().parents[2] / "README.md"


def main() -> int:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else README
    lines = path.read_bytes().splitlines()

    with LocalService() as service:  # Or AWS: Producer(region="eu-west-1")
        service.create_stream("lines", shards=2)
        with Producer(**service.producer_settings) as producer:
            stream = producer.stream("lines")

            # One user record, and a future of its report.
            report = stream.put("line-0", lines[0]).result()
            print(f"in {report.shard_id} as {report.sequence_number} after {report.latency * 1e3:.0f} ms")

            # A list of them: one call, one future.
            rest = [(f"line-{number}", line) for number, line in enumerate(lines[1:], 1)]
            result = stream.put_many(rest).check().future.result()
            print(f"{result.stored} of {len(rest)} more lines stored")
            for place, failure in result.failures:
                print(f"line {place + 1} is not: {failure}")

        found = service.read_user_records("lines")
        print(f"{len(found)} user records in {len(service.read_stream('lines'))} Kinesis records")

    expected = Counter((f"line-{number}", line) for number, line in enumerate(lines))
    if Counter((record.partition_key, record.data) for record in found) != expected:
        print("error: what was read back is not what was put", file=sys.stderr)
        return 1
    print("all are there, unchanged")
    return 0


if __name__ == "__main__":
    sys.exit(main())

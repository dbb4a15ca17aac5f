"""An asyncio application: tasks put events while others do their work; each awaits its reports. Checks what was stored.

    pip install ./bindings/python
    python examples/python/asyncio_app.py
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter

from kinesis_producer import AsyncProducer, AsyncStream, LocalService

CUSTOMERS = 20
ORDERS = 50


async def customer(stream: AsyncStream, number: int) -> int:
    """Orders one thing after the other, and then looks whether all orders are stored."""
    futures = []
    for order in range(ORDERS):
        data = json.dumps({"customer": number, "order": order}).encode()
        # Waits for room, if there is none: the event loop goes on meanwhile.
        futures.append(await stream.put(f"customer-{number}", data))
    reports = await asyncio.gather(*futures)
    return sum(report.is_stored for report in reports)


async def put_all(service: LocalService) -> int:
    # So little room that puts wait for it.
    async with AsyncProducer(**service.producer_settings, max_outstanding_records=200) as producer:
        stream = producer.stream("orders")
        stored = await asyncio.gather(*(customer(stream, number) for number in range(CUSTOMERS)))
        listed = await stream.put_many([("list", b"%d" % number) for number in range(1000)])
        result = await listed.check().future
        return sum(stored) + result.stored


def main() -> int:
    with LocalService() as service:
        service.create_stream("orders", shards=2)
        stored = asyncio.run(put_all(service))
        found = Counter((record.partition_key, record.data) for record in service.read_user_records("orders"))

    expected = Counter(
        (f"customer-{number}", json.dumps({"customer": number, "order": order}).encode())
        for number in range(CUSTOMERS)
        for order in range(ORDERS)
    ) + Counter(("list", b"%d" % number) for number in range(1000))
    print(f"{stored} user records reported as stored, {sum(found.values())} read back")
    if found != expected or stored != sum(expected.values()):
        print("error: what was read back is not what was put", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

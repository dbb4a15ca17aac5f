"""What others read of what we wrote: aws-kinesis-agg takes the aggregates apart, boto3 reads the stream."""

from __future__ import annotations

import base64
import json
import runpy
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Callable

import pytest

import kinesis_producer as kp

from .conftest import LONG

EXAMPLES = Path(__file__).resolve().parents[3] / "examples" / "python"
LOAD = Path(__file__).resolve().parents[3] / "benches" / "load.py"


def boto3_client(service: kp.LocalService) -> Any:
    boto3 = pytest.importorskip("boto3")
    settings = service.producer_settings
    return boto3.client(
        "kinesis",
        endpoint_url=settings["endpoint_url"],
        region_name=settings["region"],
        aws_access_key_id=settings["access_key_id"],
        aws_secret_access_key=settings["secret_access_key"],
    )


def read_with_boto3(service: kp.LocalService, name: str) -> list[dict[str, Any]]:
    client = boto3_client(service)
    records = []
    for shard in client.list_shards(StreamName=name)["Shards"]:
        place = client.get_shard_iterator(StreamName=name, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")
        iterator = place["ShardIterator"]
        while iterator:
            answer = client.get_records(ShardIterator=iterator)
            if not answer["Records"]:
                break
            records += answer["Records"]
            iterator = answer.get("NextShardIterator")
    return records


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_other_readers_find_every_user_record(
    service: kp.LocalService, make: Callable[..., kp.Producer], stream_name: str
) -> None:
    deaggregator = pytest.importorskip("aws_kinesis_agg.deaggregator")
    records = [(f"schlüssel-{number % 17}", bytes([number % 256]) * (number % 50)) for number in range(3000)]
    with make(record_max_buffered_time=100) as producer:
        assert producer.stream(stream_name).put_many(records).check().future.result(LONG).stored == 3000

    stored = read_with_boto3(service, stream_name)
    assert len(stored) < 100, "they are aggregates"
    as_lambda_gets_them = [
        {
            "kinesis": {
                "kinesisSchemaVersion": "1.0",
                "sequenceNumber": record["SequenceNumber"],
                "partitionKey": record["PartitionKey"],
                "data": base64.b64encode(record["Data"]).decode(),
                "approximateArrivalTimestamp": 0,
            }
        }
        for record in stored
    ]
    taken_apart = deaggregator.deaggregate_records(as_lambda_gets_them)
    decode = base64.b64decode
    theirs = Counter((record["kinesis"]["partitionKey"], decode(record["kinesis"]["data"])) for record in taken_apart)
    assert theirs == Counter(records)
    ours = [user for record in stored for user in kp.deaggregate(record["Data"], record["PartitionKey"], strict=True)]
    assert Counter((record.partition_key, record.data) for record in ours) == Counter(records)
    assert all(record.aggregated for record in ours)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_aggregate_of_aws_kinesis_agg_is_read() -> None:
    aggregator = pytest.importorskip("aws_kinesis_agg.aggregator")
    writer = aggregator.RecordAggregator()
    for number in range(10):
        writer.add_user_record(f"key-{number}", b"%d" % number, str(number))
    _, _, data = writer.clear_and_get().get_contents()
    found = kp.deaggregate(data, strict=True)
    assert [(r.partition_key, r.data, r.explicit_hash_key, r.sub_sequence_number) for r in found] == [
        (f"key-{number}", b"%d" % number, str(number), number) for number in range(10)
    ]


def test_what_is_no_aggregate_is_one_user_record() -> None:
    assert kp.deaggregate(bytearray(b"a\0b"), "key") == [kp.UserRecord("key", b"a\0b", None, 0, False)]
    assert kp.deaggregate(b"", "key", explicit_hash_key=5)[0].explicit_hash_key == "5"
    with pytest.raises(kp.InvalidAggregate) as caught:
        kp.deaggregate(b"plain", "key", strict=True)
    assert caught.value.message
    with pytest.raises(kp.InvalidHashKey, match="x"):
        kp.deaggregate(b"", "key", explicit_hash_key="x")
    with pytest.raises(kp.InvalidPartitionKey):
        kp.deaggregate(b"", "\ud800")


def test_the_local_service_says_what_is_wrong(service: kp.LocalService) -> None:
    with pytest.raises(kp.Runtime, match="not-there"):
        service.read_stream("not-there")
    with pytest.raises(kp.InvalidArgument, match="shards"):
        service.create_stream("s", shards=0)
    with pytest.raises(kp.Runtime):
        service.create_stream("with space")
    own = kp.LocalService()
    own.stop()
    own.stop()
    with pytest.raises(kp.Closed):
        own.create_stream("s")


@pytest.mark.parametrize("example", ["quickstart.py", "asyncio_app.py"])
def test_the_examples_check_themselves(example: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [example])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(EXAMPLES / example), run_name="__main__")
    assert ended.value.code == 0


@pytest.mark.parametrize("put", ["many", "single", "async"])
def test_the_load_driver_puts_what_it_says(service: kp.LocalService, stream_name: str, put: str) -> None:
    where = ["--endpoint-url", service.endpoint_url, "--stream", stream_name]
    what = ["--records", "2000", "--keys", "7", "--size", "40", "--producer-id", "258", "--put", put]
    command = [sys.executable, str(LOAD), *where, *what, "--set", "record_ttl=20 s"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=LONG)
    assert ran.returncode == 0, ran.stderr
    result = json.loads(ran.stdout.splitlines()[-1])
    assert (result["records"], result["stored"], result["failed"]) == (2000, 2000, {})
    found = service.read_user_records(stream_name)
    for record in found:
        number = int.from_bytes(record.data[4:12], "big")
        assert record.data[:4] == b"\0\0\1\2" and len(record.data) == 40
        assert record.partition_key == f"partition-key-{number % 7:06}"
    assert {int.from_bytes(record.data[4:12], "big") for record in found} == set(range(2000)) and len(found) == 2000

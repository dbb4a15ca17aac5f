"""What a producer uploads to moto's server over HTTP is read back with boto3: names, dimensions, units, and every value once."""

import os
import subprocess
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from urllib.request import Request, urlopen

import boto3
import pytest
from moto.server import ThreadedMotoServer

ROOT = Path(__file__).resolve().parents[2]
SPAN = timedelta(hours=1)
STATISTICS = ["SampleCount", "Sum", "Average", "Minimum", "Maximum"]
# Pending user records are looked at every 200 ms, so also while the last upload is on its way.
GOES_ON = "UserRecordsPending"


@dataclass(frozen=True)
class Values:
    count: float
    sum: float
    min: float
    max: float


@dataclass(frozen=True)
class Counted:
    """A line of what the producer counted."""

    metric: str
    unit: str
    code: str
    stream: str
    shard: str
    values: Values

    @property
    def granularity(self):
        return "shard" if self.shard else "stream" if self.stream else "global"


@pytest.fixture
def moto():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    # What a server keeps outlives it.
    urlopen(Request(f"{url}/moto-api/reset", method="POST")).close()
    yield url
    server.stop()


def client(moto, region):
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    return boto3.client("cloudwatch", endpoint_url=moto, region_name=region, **keys)


def upload(moto, tmp_path, **settings):
    """Runs a producer that uploads to moto until it is closed; gives what it counted itself."""
    counted = tmp_path / "counted.tsv"
    settings["cloudwatch_endpoint_url"] = moto
    text = "\n".join(f"{key} = {value}" for key, value in settings.items())
    command = [os.environ.get("CARGO", "cargo"), "test", "--quiet", "--all-features", "--test", "cloudwatch"]
    command += ["--", "--ignored", "--exact", "uploads_to_moto"]
    environment = {**os.environ, "SETTINGS": text, "COUNTED": str(counted)}
    subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=300)
    lines = [line.split("\t") for line in counted.read_text().splitlines()]
    found = [Counted(*line[:5], Values(*map(float, line[5:]))) for line in lines]
    return [line for line in found if line.values.count > 0]


def stored(cloudwatch, namespace):
    """The dimensions of every metric, by name."""
    pages = cloudwatch.get_paginator("list_metrics").paginate(Namespace=namespace)
    found = defaultdict(set)
    for metric in (metric for page in pages for metric in page["Metrics"]):
        found[metric["MetricName"]].add(tuple((one["Name"], one["Value"]) for one in metric["Dimensions"]))
    return found


def read(cloudwatch, namespace, metric, dimensions, unit):
    """The values of one metric under exactly these dimensions (which must be some: moto takes none for any)."""
    now = datetime.now(timezone.utc)
    named = [{"Name": name, "Value": value} for name, value in dimensions]
    queries = [
        {
            "Id": stat.lower(),
            "MetricStat": {
                "Metric": {"Namespace": namespace, "MetricName": metric, "Dimensions": named},
                "Period": int(2 * SPAN.total_seconds()),
                "Stat": stat,
                "Unit": unit,
            },
        }
        for stat in STATISTICS
    ]
    answer = cloudwatch.get_metric_data(MetricDataQueries=queries, StartTime=now - SPAN, EndTime=now + SPAN)
    return {result["Id"]: result["Values"] for result in answer["MetricDataResults"]}


def assert_read(cloudwatch, namespace, line, dimensions):
    got = read(cloudwatch, namespace, line.metric, dimensions, line.unit)
    values, what = line.values, f"{line.metric} {dimensions}"
    assert got["samplecount"] == [values.count], what
    assert got["sum"] == pytest.approx([values.sum], rel=1e-9), what
    assert got["average"] == pytest.approx([values.sum / values.count], rel=1e-9), what
    # Where values are told one by one they are rounded by 1 % at most.
    assert got["minimum"] == pytest.approx([values.min], rel=0.02), what
    assert got["maximum"] == pytest.approx([values.max], rel=0.02), what


def own_dimensions(line):
    named = [("ErrorCode", line.code), ("StreamName", line.stream), ("ShardId", line.shard)]
    return tuple((name, value) for name, value in named if value)


def test_every_metric_is_there_once_with_the_kpls_name_dimensions_and_unit(moto, tmp_path):
    # So short that there are many uploads besides that of the close.
    counted = upload(moto, tmp_path, metrics_upload_delay="10")
    cloudwatch, namespace = client(moto, "us-east-1"), "KinesisProducerLibrary"
    expected = defaultdict(set)
    for line in counted:
        expected[line.metric].add(own_dimensions(line))
    found = stored(cloudwatch, namespace)
    assert found == expected
    for line in counted:
        if line.metric != GOES_ON and own_dimensions(line):
            assert_read(cloudwatch, namespace, line, own_dimensions(line))

    # Asked without dimensions, moto adds up all: the producer's own, its streams' and its shards'.
    now = datetime.now(timezone.utc)
    for metric in expected.keys() - {GOES_ON}:
        of_metric = [line for line in counted if line.metric == metric]
        answer = cloudwatch.get_metric_statistics(
            Namespace=namespace,
            MetricName=metric,
            StartTime=now - SPAN,
            EndTime=now + SPAN,
            Period=int(2 * SPAN.total_seconds()),
            Statistics=STATISTICS,
        )
        [point] = answer["Datapoints"]
        assert point["SampleCount"] == sum(line.values.count for line in of_metric), metric
        assert point["Sum"] == pytest.approx(sum(line.values.sum for line in of_metric), rel=1e-9), metric
        assert point["Unit"] == of_metric[0].unit


def test_the_average_of_user_records_put_is_the_success_rate(moto, tmp_path):
    dimension = (("Host", "web-1"),)
    upload(moto, tmp_path, metrics_dimensions="Host=web-1", metrics_level="summary")
    cloudwatch, namespace = client(moto, "us-east-1"), "KinesisProducerLibrary"
    put = read(cloudwatch, namespace, "UserRecordsPut", dimension, "Count")
    assert (put["samplecount"], put["sum"], put["average"]) == ([50], [40], [0.8])
    missing = read(cloudwatch, namespace, "UserRecordsPut", dimension + (("StreamName", "missing"),), "Count")
    assert (missing["samplecount"], missing["average"]) == ([10], [0])
    assert "RetriesPerRecord" not in stored(cloudwatch, namespace)


def test_region_namespace_credentials_and_dimensions_are_the_users(moto, tmp_path):
    counted = upload(
        moto,
        tmp_path,
        cloudwatch_region="eu-west-2",
        cloudwatch_access_key_id="AKIDCLOUDWATCH",
        cloudwatch_secret_access_key="secret",
        metrics_namespace="Shop/Producer",
        metrics_dimensions="Host=web-1,Cell=7,Team=red:stream,Tier=gold:shard",
    )
    assert not stored(client(moto, "us-east-1"), "Shop/Producer")
    cloudwatch = client(moto, "eu-west-2")
    found = stored(cloudwatch, "Shop/Producer")
    expected = defaultdict(set)
    for line in counted:
        chain = [("Host", "web-1"), ("Cell", "7")]
        shortest = 0
        if line.code:
            chain.append(("ErrorCode", line.code))
            shortest = len(chain)
        if line.stream:
            chain.append(("StreamName", line.stream))
            shortest = len(chain)
            chain.append(("Team", "red"))
        if line.shard:
            chain.append(("ShardId", line.shard))
            shortest = len(chain)
            chain.append(("Tier", "gold"))
        for length in range(shortest, len(chain) + 1):
            dimensions = tuple(chain[:length])
            expected[line.metric].add(dimensions)
            if line.metric != GOES_ON and dimensions:
                assert_read(cloudwatch, "Shop/Producer", line, dimensions)
    assert found == expected


def test_granularity_stream_leaves_shards_out(moto, tmp_path):
    counted = upload(moto, tmp_path, metrics_granularity="stream")
    found = stored(client(moto, "us-east-1"), "KinesisProducerLibrary")
    expected = defaultdict(set)
    for line in counted:
        if line.granularity != "shard":
            expected[line.metric].add(own_dimensions(line))
    assert found == expected

"""Reads scrapes with Prometheus's parser, and checks them with promtool if it is installed.

The first argument is the file of a scrape that has every metric, the second the URL of the example, which has no errors to show,
the third what the example for OpenTelemetry printed, which has none either.
"""

import json
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).parents[2]


def families(text):
    """The kind and the sample names of each metric."""
    return {family.name: (family.type, {s.name for s in family.samples}) for family in text_string_to_metric_families(text)}


def example(url):
    """What the example serves, once user records were stored."""
    deadline = time.monotonic() + 30
    while True:
        with urllib.request.urlopen(url, timeout=10) as answer:
            text = answer.read().decode()
        if re.search(r'^kinesis_producer_user_records_put_total\{[^}]*result="stored"\} [1-9]', text, re.MULTILINE):
            return text
        if time.monotonic() > deadline:
            sys.exit(f"{url}: nothing was stored")
        time.sleep(0.1)


def check_with_promtool(text):
    if shutil.which("promtool"):
        subprocess.run(["promtool", "check", "metrics"], input=text, text=True, check=True)


def main(path, url, exported):
    complete = Path(path).read_text()
    found = families(complete)
    # The parser gives counters without their ending.
    table = re.findall(r"^\| `(kinesis_producer_\w+)` \| (\w+)", (ROOT / "METRICS.md").read_text(), re.MULTILINE)
    expected = {name.removesuffix("_total"): kind for name, kind in table}
    assert {name: kind for name, (kind, _) in found.items()} == expected, found

    samples = set().union(*(names for _, names in found.values()))
    queried = set(re.findall(r"kinesis_producer_[a-z_]+", (ROOT / "dashboards/grafana.json").read_text()))
    assert queried and queried <= samples, queried - samples
    json.loads((ROOT / "dashboards/grafana.json").read_text())

    served = example(url)
    missing = expected.keys() - families(served).keys()
    assert missing == {"kinesis_producer_errors_by_code"}, missing
    for name, (kind, names) in families(served).items():
        assert kind == expected[name] and names <= samples, name

    # Each is one instrument, whatever its labels. OpenTelemetry has no counters that were never added to.
    instruments = re.findall(r"^\s*Name\s*: (kinesis_producer_\w+)$", Path(exported).read_text(), re.MULTILINE)
    unused = {f"kinesis_producer_{name}_total" for name in ("errors_by_code", "all_errors", "user_record_expired")}
    assert sorted(instruments) == sorted({name for name, _ in table} - unused), instruments

    for text in (complete, served):
        check_with_promtool(text)
    print(f"{len(found)} metrics are as METRICS.md says; the dashboard asks for {len(queried)} series, all of which exist")


main(*sys.argv[1:])

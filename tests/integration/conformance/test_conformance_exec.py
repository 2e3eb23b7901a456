"""Programs that know Beam and Google's clients only, run by `dataflow-serving exec`."""

import ast
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from google.cloud import bigquery, pubsub_v1, storage

from tf_dataflow_serving.flags import Services

from .conftest import Way

PIPELINES = Path(__file__).with_name("pipelines")
TIMEOUT = 110.0
RUNNERS = {
    "in-process": ["--runner=FnApiRunner"],
    "processes": [
        "--runner=FnApiRunner",
        "--direct_running_mode=multi_processing",
        "--direct_num_workers=2",
        "--save_main_session",
    ],
}


def execute(way: Way, script: str, *arguments: str) -> str:
    """Run a script of this directory as users do; returns what it prints."""
    # Services of our own are found by the variables of this shell.
    named = Services.GCP, Services.EXTERNAL
    services = ["--services", way.kind] if way.kind in named else []
    ours = [sys.executable, "-m", "tf_dataflow_serving", "exec", *services, "--"]
    run = subprocess.run(
        [*ours, sys.executable, PIPELINES / script, *arguments],
        env=dict(way.environment),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-4_000:]
    return run.stdout


@pytest.mark.parametrize("script", sorted(PIPELINES.glob("*.py")), ids=lambda path: path.stem)
def test_the_programs_know_nothing_of_ours(script: Path) -> None:
    tree = ast.parse(script.read_text())
    named = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    imported = [
        a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names
    ]
    own = {str(name).partition(".")[0] for name in [*named, *imported]} - sys.stdlib_module_names
    assert own <= {"apache_beam", "google"}


@pytest.fixture
def table(client: bigquery.Client, dataset: str) -> str:
    name = f"{client.project}.{dataset}.source"
    rows = [{"id": number, "name": f"row {number}"} for number in range(100)]
    client.load_table_from_json(rows, name).result(timeout=TIMEOUT)
    return name


@pytest.mark.parametrize(
    ("mode", "read", "write"),
    [
        ("in-process", "EXPORT", "STREAMING_INSERTS"),
        ("processes", "DIRECT_READ", "FILE_LOADS"),
    ],
)
def test_bigquery_to_bigquery(
    way: Way,
    client: bigquery.Client,
    bucket: storage.Bucket,
    dataset: str,
    table: str,
    mode: str,
    read: str,
    write: str,
) -> None:
    execute(
        way,
        "bigquery_pipeline.py",
        f"--query=SELECT id, name FROM `{table}` WHERE id < 50",  # noqa: S608
        f"--output={way.project}:{dataset}.out",
        f"--read_method={read}",
        f"--write_method={write}",
        f"--project={way.project}",
        f"--temp_location=gs://{bucket.name}/temp",
        *RUNNERS[mode],
    )
    rows = [dict(row) for row in client.list_rows(f"{dataset}.out")]
    expected = [{"id": n, "name": f"row {n}", "twice": 2 * n} for n in range(50)]
    assert sorted(rows, key=lambda row: int(row["id"])) == expected
    assert {found.table_id for found in client.list_tables(dataset)} == {"source", "out"}


def test_files_to_files(way: Way, bucket: storage.Bucket) -> None:
    words = [f"word{number % 7}" for number in range(1_000)]
    for number in range(2):
        half = words[number::2]
        bucket.blob(f"in/{number}.txt").upload_from_string("\n".join(half))
    execute(
        way,
        "files_pipeline.py",
        f"--input=gs://{bucket.name}/in/*.txt",
        f"--output=gs://{bucket.name}/out/counts",
        f"--project={way.project}",
        *RUNNERS["processes"],
    )
    written = list(bucket.list_blobs(prefix="out/"))
    lines = [line.split() for blob in written for line in blob.download_as_text().splitlines()]
    assert {word: int(count) for word, count in lines} == Counter(words)
    assert len(written) == 2


class Channel:
    """A topic with a subscription."""

    def __init__(self, project: str) -> None:
        self.publisher = pubsub_v1.PublisherClient()
        self.subscriber = pubsub_v1.SubscriberClient()
        name = f"conformance-{uuid4().hex[:12]}"
        self.topic = self.publisher.topic_path(project, name)
        self.subscription = self.subscriber.subscription_path(project, name)
        self.publisher.create_topic(name=self.topic)
        self.subscriber.create_subscription(name=self.subscription, topic=self.topic)

    def publish(self, message: Any) -> None:
        data = json.dumps(message).encode()
        self.publisher.publish(self.topic, data).result(TIMEOUT)

    def pull(self) -> list[bytes]:
        answer = self.subscriber.pull(
            subscription=self.subscription, max_messages=10, timeout=TIMEOUT
        )
        return [received.message.data for received in answer.received_messages]

    def close(self) -> None:
        self.subscriber.delete_subscription(subscription=self.subscription)
        self.publisher.delete_topic(topic=self.topic)
        self.subscriber.close()
        self.publisher.stop()


@pytest.fixture
def channel(way: Way) -> Iterator[Channel]:
    made = Channel(way.project)
    yield made
    made.close()


def test_pubsub_to_bigquery(
    way: Way, client: bigquery.Client, dataset: str, channel: Channel
) -> None:
    schema = [bigquery.SchemaField("id", "INTEGER"), bigquery.SchemaField("name", "STRING")]
    client.create_table(bigquery.Table(f"{way.project}.{dataset}.out", schema))
    sent = [{"id": number, "name": f"row {number}"} for number in range(40)]
    for message in sent:
        channel.publish(message)
    execute(
        way,
        "pubsub_pipeline.py",
        f"--subscription={channel.subscription}",
        f"--output={way.project}:{dataset}.out",
        f"--count={len(sent)}",
        f"--project={way.project}",
        "--runner=BundleBasedDirectRunner",
    )
    rows = {(row["id"], row["name"]) for row in client.list_rows(f"{dataset}.out")}
    assert rows == {(row["id"], row["name"]) for row in sent}


def test_clients_without_beam(
    way: Way, bucket: storage.Bucket, table: str, channel: Channel
) -> None:
    arguments = [f"--table={table}", f"--bucket={bucket.name}", f"--topic={channel.topic}"]
    assert execute(way, "clients.py", *arguments).split() == [way.project]
    assert bucket.blob("rows").download_as_text() == "100"
    assert channel.pull() == [b"done"]

"""Fresh services, a queue, a table, and what is done with them in every benchmark."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from google.cloud import bigquery

from tf_dataflow_serving.runners.provision import (
    ensure_subscription,
    ensure_tables,
    ensure_topic,
)
from tf_dataflow_serving.services import redirect
from tf_dataflow_serving.services.stack import Stack

from .figures import StreamFigures
from .observer import Arrival, Arrivals, observed
from .processes import (
    STOCK,
    CpuMeter,
    EventProcess,
    published,
    publishing,
    running_pipeline,
)
from .publish_steadily import Load, Published

SECONDS = float(os.environ.get("DATAFLOW_SERVING_PERF_SECONDS", "60"))
"""How long a rate is offered."""

MOST_CATCH_UP_SECONDS = 30.0
_CHECK_SECONDS = 1.0
_DATASET = "perf"


@dataclass(frozen=True)
class Lane:
    """What one pipeline reads and writes."""

    topic: str
    subscription: str
    table: str

    def flags(self) -> list[str]:
        """Return the pipeline's flags."""
        return [f"--input_subscription={self.subscription}", f"--output_table={self.table}"]


@dataclass(frozen=True)
class Bench:
    """Running services; what is written into BigQuery is observed on the way."""

    stack: Stack
    arrivals: Arrivals
    environment: Mapping[str, str]
    directory: Path

    @classmethod
    @contextmanager
    def start(cls, directory: Path) -> Iterator["Bench"]:
        """Start services; on leaving, all that was started ends."""
        with (
            Stack.start() as stack,
            observed(stack.endpoints.bigquery) as observer,
            pytest.MonkeyPatch.context() as patch,
        ):
            endpoints = replace(stack.endpoints, bigquery=observer.url)
            quiet = {"TF_CPP_MIN_LOG_LEVEL": "2", "TF_ENABLE_ONEDNN_OPTS": "0"}
            for name, value in {**endpoints.environment(os.environ), **quiet}.items():
                patch.setenv(name, value)
            redirect.install()
            yield cls(stack, observer.arrivals, dict(os.environ), directory)

    @property
    def project(self) -> str:
        """The project of the services."""
        return self.stack.endpoints.project

    def lane(self, name: str, topic: str = "top") -> Lane:
        """Make a subscription and a table."""
        topic_path = ensure_topic(self.project, topic)
        subscription = ensure_subscription(self.project, name, topic_path)
        table = f"{self.project}.{_DATASET}.{name}"
        ensure_tables(self.project, table)
        return Lane(topic_path, subscription, table)

    def fill(self, lane: Lane, messages: int) -> None:
        """Publish at once."""
        load = Load(lane.topic, messages, None)
        with self.publishing(load) as process:
            published(process, load)

    def pipeline(self, lane: Lane, command: Sequence[str]) -> AbstractContextManager[EventProcess]:
        """Start a pipeline on a lane."""
        log = self.directory / f"{lane.table}.log"
        flags = [f"--project={self.project}", *lane.flags()]
        environment = self.environment if STOCK[0] not in command else untouched(self.environment)
        return running_pipeline([*command, *flags], log, environment)

    def publishing(self, load: Load) -> AbstractContextManager[EventProcess]:
        """Start to publish."""
        return publishing(load, self.directory / "publisher.log", self.environment)

    def pids(self, pipeline: EventProcess) -> dict[str, int]:
        """Return the processes whose CPU time tells what limits, by name."""
        services = {one.name: one.process.pid for one in self.stack.processes}
        return {
            "pipeline": pipeline.process.pid,
            "pubsub": services["pubsub"],
            "bigquery": services["bigquery"],
            "observer": os.getpid(),
        }

    def await_visible(self, pipeline: EventProcess, messages: int, most: float) -> bool:
        """Return whether so many messages are visible within `most` seconds."""
        waited = 0.0
        while not self.arrivals.wait_for(messages, min(_CHECK_SECONDS, most - waited)):
            pipeline.raise_if_ended()
            waited += _CHECK_SECONDS
            if waited >= most:
                return False
        return True

    def require_observed(self, lane: Lane, arrivals: Sequence[Arrival]) -> None:
        """Fail unless the table has the rows that were observed, and no other ones."""
        client = bigquery.Client(project=self.project)
        query = f"SELECT COUNT(*), COUNT(DISTINCT source_id) FROM `{lane.table}`"  # noqa: S608
        (row,) = client.query_and_wait(query)
        client.close()
        rows = [row.source_id for arrival in arrivals for row in arrival.rows]
        assert row[1] == len(set(rows))
        assert row[0] <= len(rows)


def untouched(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without what reaches into every Python that starts in it."""
    path = environment["PYTHONPATH"].split(os.pathsep)
    kept = [entry for entry in path if entry != str(redirect.SITE_DIRECTORY)]
    return {**environment, "PYTHONPATH": os.pathsep.join(kept)}


@dataclass(frozen=True)
class Offered:
    """What became of a rate, and the pipeline's own last word."""

    figures: StreamFigures
    result: Mapping[str, Any]


def offer(bench: Bench, command: Sequence[str], rate: float, messages: int) -> Offered:
    """Run a pipeline while messages come at a rate, then for as long as it needs to catch up."""
    lane = bench.lane("rate")
    with bench.pipeline(lane, command) as pipeline:
        sent, cpu = _publish_beside(bench, pipeline, Load(lane.topic, messages, rate))
        bench.await_visible(pipeline, messages, MOST_CATCH_UP_SECONDS)
        result = pipeline.stop()
    arrivals = bench.arrivals.snapshot()
    bench.require_observed(lane, arrivals)
    return Offered(StreamFigures.of(rate, sent, arrivals, cpu), result)


def _publish_beside(
    bench: Bench, pipeline: EventProcess, load: Load
) -> tuple[Published, dict[str, float]]:
    with bench.publishing(load) as publisher:
        meter = CpuMeter(bench.pids(pipeline))
        sent = published(publisher, load)
        used = meter.used()
    pipeline.raise_if_ended()
    return sent, used

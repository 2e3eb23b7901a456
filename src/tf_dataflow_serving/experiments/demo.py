"""All eleven experiments on the local services: run, measured, and checked row by row."""

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from google.cloud import bigquery, pubsub_v1, storage

from tf_dataflow_serving.experiments.matrix import Combination
from tf_dataflow_serving.experiments.run_process import RunProcess, started
from tf_dataflow_serving.experiments.simulate import Clock, Load, Simulation, simulate
from tf_dataflow_serving.experiments.statistics import StreamStatistics, stream_statistics
from tf_dataflow_serving.experiments.verification import (
    Difference,
    Expected,
    expected_of_messages,
    expected_of_samples,
    verify_objects,
    verify_table,
)
from tf_dataflow_serving.natality.generator import instances
from tf_dataflow_serving.runners.provision import ensure_subscription, ensure_topic
from tf_dataflow_serving.runners.result import RunResult

BUCKET = "demo"
DATASET = "demo"
PUBLISH_TIMEOUT_SECONDS = 30.0

# Not JSON, a missing id, an unknown race, an unknown length of gestation.
BAD_MESSAGES = (
    "not json",
    '{"is_male": "True", "mother_age": 26.0}',
    '{"source_id": 1, "source_timestamp": "2005-01-01T00:00:00Z", "is_male": "True", '
    '"mother_age": 26.0, "mother_race": "Martian", "plurality": 1.0, "gestation_weeks": 39, '
    '"mother_married": "True", "cigarette_use": "False", "alcohol_use": "False"}',
    '{"source_id": 2, "source_timestamp": "2005-01-01T00:00:00Z", "is_male": "True", '
    '"mother_age": 26.0, "mother_race": "White", "plurality": 1.0, "gestation_weeks": 99, '
    '"mother_married": "True", "cigarette_use": "False", "alcohol_use": "False"}',
)


@dataclass(frozen=True)
class Sizes:
    """How much the demo does."""

    sample_rows: int
    sample_seed: int
    stream: Load


@dataclass(frozen=True)
class Outcome:
    """One experiment: what it did, how late, and whether every row was right."""

    combination: Combination
    result: RunResult
    difference: Difference
    statistics: StreamStatistics | None = None
    offered_per_second: float | None = None


Progress = Callable[[Combination, float], None]
"""Is told the experiment that runs and how much of it is done, from 0 to 1, where known."""


@dataclass(frozen=True)
class Demo:
    """The eleven experiments on the services that the environment names."""

    project: str
    sizes: Sizes
    directory: Path
    on_progress: Progress

    def run(self, combination: Combination) -> Outcome:
        """Run one of the eleven and check what it wrote."""
        self.on_progress(combination, 0.0)
        if combination.experiment.is_streaming:
            return self._stream(combination)
        return self._batch(combination)

    @cached_property
    def _samples(self) -> Expected:
        return expected_of_samples(self.sizes.sample_rows, self.sizes.sample_seed)

    def _batch(self, combination: Combination) -> Outcome:
        output = f"gs://{BUCKET}/{combination.slug}"
        # More than there are, so that no row depends on which ones a LIMIT picks.
        flags = [f"--sample_size={self.sizes.sample_rows}", f"--output={output}"]
        with self._started(combination, flags) as run:
            result = run.result()
        difference = verify_objects(storage.Client(project=self.project), output, self._samples)
        return Outcome(combination, result, difference)

    def _stream(self, combination: Combination) -> Outcome:
        topic = ensure_topic(self.project, combination.slug)
        subscription = ensure_subscription(self.project, combination.slug, topic)
        table = f"{self.project}.{DATASET}.{combination.slug.replace('-', '_')}"
        load = self.sizes.stream
        flags = [
            f"--input_subscription={subscription}",
            f"--output_table={table}",
            f"--messages={load.messages + len(BAD_MESSAGES)}",
        ]
        with self._started(combination, flags) as run:
            simulation = self._publish(run, combination, topic)
            result = run.result()
        generated = instances(load.messages, load.seed)
        expected = expected_of_messages(simulation.source_ids, generated, BAD_MESSAGES)
        client = bigquery.Client(project=self.project)
        return Outcome(
            combination,
            result,
            verify_table(client, table, expected),
            stream_statistics(self.project, table),
            simulation.messages_per_second,
        )

    def _publish(self, run: RunProcess, combination: Combination, topic: str) -> Simulation:
        """Wait for the pipeline, so that its start is no part of any latency; then publish."""
        run.wait_until_running()
        _publish_bad(topic, BAD_MESSAGES)
        load = self.sizes.stream
        return simulate(
            topic,
            load,
            lambda count: self.on_progress(combination, count / load.messages),
            Clock(),
        )

    def _started(
        self, combination: Combination, flags: Sequence[str]
    ) -> AbstractContextManager[RunProcess]:
        common = [
            f"--experiment_type={combination.experiment}",
            f"--inference_type={combination.inference_type}",
        ]
        return started([*common, *flags], self.directory / f"{combination.slug}.log", os.environ)


def _publish_bad(topic: str, messages: Sequence[str]) -> None:
    publisher = pubsub_v1.PublisherClient()
    for future in [publisher.publish(topic, message.encode()) for message in messages]:
        future.result(PUBLISH_TIMEOUT_SECONDS)
    publisher.stop()

"""One pipeline on the services, what it is fed, and what becomes of it."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from google.cloud import bigquery

from tf_dataflow_serving.natality.schema import ERROR_SCHEMA, PREDICTION_SCHEMA
from tf_dataflow_serving.pipelines.dead_letter import TABLE_SUFFIX
from tf_dataflow_serving.services.pubsub.control.client import PubSubControl, SubscriptionState

from .accounting import Account, Ledger
from .conditions import poll
from .feed import Feed, Spoil, all_valid, make_subscription, make_topic
from .fleet import PROJECT, Fleet
from .pipeline_process import RUN, PipelineProcess, started

DATASET = "streams"
SETTLE_SECONDS = 90.0
LONGEST_LEASE_SECONDS = 601.0


@dataclass(frozen=True)
class Places:
    """A topic, its subscription and a table, which nobody else uses."""

    name: str = field(default_factory=lambda: f"s{uuid.uuid4().hex[:12]}")

    @property
    def topic(self) -> str:
        """The full name of what is fed."""
        return f"projects/{PROJECT}/topics/{self.name}"

    @property
    def dead_letter_topic(self) -> str:
        """The full name of where the subscription puts what nobody takes."""
        return f"{self.topic}-dead"

    @property
    def subscription(self) -> str:
        """The full name of what is read."""
        return f"projects/{PROJECT}/subscriptions/{self.name}"

    @property
    def table(self) -> str:
        """Where it is written, as DATASET.TABLE."""
        return f"{DATASET}.{self.name}"

    def fill(self, word: str) -> str:
        """Return a word of a command with the names in their place: {topic} and the like."""
        return word.format(table=self.table, topic=self.topic, subscription=self.subscription)


@dataclass
class Scene:
    """A pipeline that is fed, killed, and started again."""

    fleet: Fleet
    places: Places
    feed: Feed
    ledger: Ledger
    control: PubSubControl
    words: Sequence[str]
    log: Path
    environment: Mapping[str, str]
    cleanup: ExitStack
    _pipeline: PipelineProcess | None = None

    @property
    def pipeline(self) -> PipelineProcess:
        """The pipeline that was started last."""
        assert self._pipeline is not None
        return self._pipeline

    def start(self) -> PipelineProcess:
        """Start the pipeline."""
        process = started(self.words, self.log, self.environment)
        self._pipeline = self.cleanup.enter_context(process)
        return self._pipeline

    def start_anew(self) -> PipelineProcess:
        """Start the pipeline after one that died, and whose leases are not waited for."""
        self.expire_leases()
        return self.start()

    def expire_leases(self) -> None:
        """Let all that is leased be delivered again, as time would."""
        self.control.advance_clock(LONGEST_LEASE_SECONDS)

    def account(self) -> Account:
        """Compare what was written with what was published."""
        return self.ledger.account(self.feed.published)

    def feed_until(self, arrived: int, in_flight: int) -> None:
        """Go on publishing until so many ids are somewhere, never more than `in_flight` ahead."""

        def is_there() -> bool:
            self.pipeline.require_alive()
            now = self.ledger.arrived()
            room = in_flight - (len(self.feed.published) - now)
            if room > 0 and now < arrived:
                self.feed.publish(room)
            return now >= arrived

        assert poll(is_there, SETTLE_SECONDS), f"stopped: {self.account()}\n{self._last_words()}"

    def settle(self) -> Account:
        """Wait until every id is somewhere; returns the account also if some are not in time."""
        expected = len(set(self.feed.published))

        def is_there() -> bool:
            self.pipeline.require_alive()
            return self.ledger.arrived() >= expected

        poll(is_there, SETTLE_SECONDS)
        return self.account()

    def owed(self) -> int:
        """Return how many messages of the topic are not acknowledged."""
        return sum(state.unacknowledged for state in self._states())

    def out(self) -> int:
        """Return how many of them are with a consumer."""
        return sum(state.out for state in self._states())

    def _states(self) -> list[SubscriptionState]:
        states = self.control.subscriptions()
        return [state for state in states if state.topic == self.places.topic]

    def _last_words(self) -> str:
        return self.pipeline.log_text()


@contextmanager
def scene_of(
    fleet: Fleet,
    log: Path,
    words: Sequence[str],
    spoil: Spoil = all_valid,
    *,
    dead_letters_to_topic: bool = False,
) -> Iterator[Scene]:
    """Make the places and tables. `words` are a command; {subscription} and the like are filled in.

    The pipeline is not started.
    """
    places, endpoints = Places(), fleet.endpoints
    dead = places.dead_letter_topic if dead_letters_to_topic else None
    for topic in filter(None, (places.topic, dead)):
        make_topic(endpoints.pubsub, topic)
    make_subscription(endpoints.pubsub, places.subscription, places.topic, dead)
    with ExitStack() as cleanup:
        client = cleanup.enter_context(fleet.bigquery())
        control = cleanup.enter_context(PubSubControl(endpoints.pubsub_control or ""))
        _make_tables(client, places)
        yield Scene(
            fleet=fleet,
            places=places,
            feed=Feed(endpoints.pubsub, places.topic, spoil),
            ledger=Ledger(client, places.table, control, dead),
            control=control,
            words=[places.fill(word) for word in words],
            log=log,
            environment=fleet.environment,
            cleanup=cleanup,
        )


def run_words(experiment: str, inference_type: str, *flags: str) -> list[str]:
    """Return the command of an experiment, which reads the subscription unless told otherwise."""
    reads = any(flag.startswith("--input_") for flag in flags)
    return [
        *RUN,
        f"--experiment={experiment}",
        f"--inference_type={inference_type}",
        "--output_table={table}",
        *([] if reads else ["--input_subscription={subscription}"]),
        *flags,
    ]


def _make_tables(client: bigquery.Client, places: Places) -> None:
    client.create_dataset(DATASET, exists_ok=True)
    for name, schema in (
        (places.table, PREDICTION_SCHEMA),
        (places.table + TABLE_SUFFIX, ERROR_SCHEMA),
    ):
        fields = [bigquery.SchemaField.from_api_repr(one) for one in schema]
        client.create_table(bigquery.Table(f"{PROJECT}.{name}", fields))

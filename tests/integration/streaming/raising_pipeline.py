"""A plain Beam pipeline whose DoFn raises: `poison`, `chance` or `first` says when.

It knows nothing of the services, nor of the runner.
"""

import argparse
import json
import random
from collections.abc import Callable, Iterable
from pathlib import Path

import apache_beam as beam
from apache_beam.io.gcp.bigquery import WriteToBigQuery
from apache_beam.io.gcp.pubsub import PubsubMessage, ReadFromPubSub
from apache_beam.options.pipeline_options import PipelineOptions

POISON_EVERY = 100
CHANCE = 0.05
FAILURES = 3
SEED = 5


class CannotTake(Exception):
    pass


def is_poison(source_id: int) -> bool:
    return source_id % POISON_EVERY == POISON_EVERY // 2


class Raise(beam.DoFn):  # type: ignore[misc] # Beam has no types
    """Passes the ids on, but raises; `notes` is a file, which outlives each copy of this."""

    def __init__(self, when: str, notes: str) -> None:
        super().__init__()
        self._when = when
        self._notes = notes

    def process(self, message: PubsubMessage) -> Iterable[dict[str, int]]:
        source_id = int(json.loads(message.data)["source_id"])
        raises: dict[str, Callable[[], bool]] = {
            "poison": lambda: is_poison(source_id),
            "chance": lambda: random.random() < CHANCE,
            "first": self._is_among_the_first,
            "never": lambda: False,
        }
        if raises[self._when]():
            raise CannotTake(f"this DoFn raises ({self._when})")
        yield {"source_id": source_id}

    def _is_among_the_first(self) -> bool:
        with Path(self._notes).open("a") as notes:
            if notes.tell() >= FAILURES:
                return False
            notes.write("x")
        return True


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--when", choices=["poison", "chance", "first", "never"], required=True)
    parser.add_argument("--notes", required=True)
    parser.add_argument("--input_subscription", required=True)
    parser.add_argument("--output_table", required=True)
    given, beam_flags = parser.parse_known_args()
    random.seed(SEED)
    options = PipelineOptions(beam_flags, streaming=True, save_main_session=False)
    with beam.Pipeline(options=options) as pipeline:
        _ = (
            pipeline
            | ReadFromPubSub(subscription=given.input_subscription, with_attributes=True)
            | beam.ParDo(Raise(given.when, given.notes))
            | WriteToBigQuery(
                given.output_table,
                schema="source_id:INTEGER",
                method=WriteToBigQuery.Method.STREAMING_INSERTS,
                create_disposition="CREATE_NEVER",
            )
        )


if __name__ == "__main__":
    main()

"""A plain Beam pipeline that cancels itself, and then tells which threads are left."""

import argparse
import json
import threading
import time
from pathlib import Path

import apache_beam as beam
from apache_beam.io.gcp.pubsub import ReadFromPubSub
from apache_beam.options.pipeline_options import PipelineOptions

LIMIT_SECONDS = 60.0


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--notes", type=Path, required=True)
    parser.add_argument("--input_subscription", required=True)
    given, beam_flags = parser.parse_known_args()
    notes: Path = given.notes
    given.notes.touch()
    pipeline = beam.Pipeline(options=PipelineOptions(beam_flags, streaming=True))
    messages = pipeline | ReadFromPubSub(subscription=given.input_subscription)
    _ = messages | beam.Map(lambda _message: notes.write_text("seen"))
    before = set(threading.enumerate())
    result = pipeline.run()
    wait_until_seen(notes)
    result.cancel()
    left = [thread.name for thread in threading.enumerate() if thread not in before]
    print(json.dumps({"event": "cancelled", "threads": left}), flush=True)  # noqa: T201 - its result


def wait_until_seen(notes: Path) -> None:
    end = time.monotonic() + LIMIT_SECONDS
    while not notes.read_text() and time.monotonic() < end:
        time.sleep(0.05)


if __name__ == "__main__":
    main()

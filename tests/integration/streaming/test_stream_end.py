"""How a stream ends: by a signal, by a second one, or after so many messages."""

import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any

import psutil
import pytest

from .conditions import poll
from .feed import subscriptions
from .pipeline_process import EXEC, WAIT_SECONDS, PipelineProcess
from .scene import Scene, run_words

NewScene = Callable[..., AbstractContextManager[Scene]]
Report = Callable[[str, object], None]

CANCELLED = Path(__file__).with_name("cancelled_pipeline.py")
MESSAGES = 50
# Fewer than a batch has, and an hour to go: only the end lets them out.
BUFFERED = ("--batch_size=1000", "--batch_seconds=3600")
SIGNALS = [signal.SIGINT, signal.SIGTERM]

pytestmark = pytest.mark.timeout(150)


def feed_to_the_buffer(scene: Scene) -> None:
    scene.feed.publish(MESSAGES)
    assert poll(lambda: scene.out() == MESSAGES, WAIT_SECONDS)
    assert scene.ledger.arrived() == 0


def end_by(number: int, pipeline: PipelineProcess) -> tuple[Mapping[str, Any], int, float]:
    """Send a signal; returns the result, the exit code, and how many seconds it took."""
    family = pipeline.family()
    begin = monotonic()
    pipeline.process.send_signal(number)
    result = pipeline.event("finished")
    code = pipeline.process.wait(WAIT_SECONDS)
    seconds = monotonic() - begin
    assert psutil.wait_procs(family, WAIT_SECONDS)[1] == []
    return result, code, seconds


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("inference_type", ["local", "cmle"])
def test_a_signal_drains_a_buffered_micro_batch(
    new_scene: NewScene, number: signal.Signals, inference_type: str, record_property: Report
) -> None:
    with new_scene(run_words("stream-m-batches", inference_type, *BUFFERED)) as scene:
        scene.start().event("running")
        feed_to_the_buffer(scene)
        result, code, seconds = end_by(number, scene.pipeline)
        account = scene.account()
        after = datetime.now(UTC) - last_estimate(scene) if account.rows else None
        report = f"{seconds:.2f} s after {number.name}, {after} after the last estimate"
        print(f"ended {report}: {account}, {result}")  # noqa: T201 - it is what this shows
        record_property("ended", report)
        assert code == 0, scene.pipeline.log_text()
        assert (account.lost, account.duplicates) == (frozenset(), 0)
        assert result["estimates"] == MESSAGES
        assert result["batch_sizes"] == {
            "calls": 1, "minimum": MESSAGES, "mean": MESSAGES, "maximum": MESSAGES
        }  # fmt: skip
        assert scene.owed() == 0


def last_estimate(scene: Scene) -> datetime:
    query = f"SELECT MAX(predict_timestamp) FROM `{scene.places.table}`"  # noqa: S608
    rows = scene.ledger.client.query_and_wait(query, wait_timeout=WAIT_SECONDS)
    moment: datetime = next(iter(rows))[0]
    return moment


def test_a_second_signal_cancels_and_loses_nothing(new_scene: NewScene) -> None:
    with new_scene(run_words("stream-m-batches", "cmle", *BUFFERED)) as scene:
        scene.start().event("running")
        feed_to_the_buffer(scene)
        scene.fleet.kill("bigquery")
        try:
            code = interrupt_until_ended(scene.pipeline)
        finally:
            scene.fleet.start("bigquery")
        assert code != 0
        assert "Traceback" not in scene.pipeline.log_text()
        scene.words = run_words_of(scene, "stream", "cmle")
        scene.start_anew()
        assert scene.settle().lost == frozenset()


def interrupt_until_ended(pipeline: PipelineProcess) -> int:
    """Send SIGINT until it ends: signals that follow too fast are one to who is signalled."""

    def has_ended() -> bool:
        if pipeline.process.poll() is None:
            pipeline.process.send_signal(signal.SIGINT)
        return poll(lambda: pipeline.process.poll() is not None, 1.0)

    assert poll(has_ended, WAIT_SECONDS), pipeline.log_text()
    return pipeline.process.wait(WAIT_SECONDS)


def run_words_of(scene: Scene, experiment: str, inference_type: str) -> list[str]:
    return [scene.places.fill(word) for word in run_words(experiment, inference_type)]


def test_it_ends_after_as_many_messages_as_were_asked_for(new_scene: NewScene) -> None:
    with new_scene(run_words("stream", "cmle", f"--messages={MESSAGES}")) as scene:
        scene.start().event("running")
        scene.feed.publish(MESSAGES)
        result = scene.pipeline.event("finished")
        assert scene.pipeline.process.wait(WAIT_SECONDS) == 0
        assert result["estimates"] == MESSAGES
        assert (scene.account().lost, scene.owed()) == (frozenset(), 0)


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_read_of_a_topic_leaves_no_subscription(
    new_scene: NewScene, number: signal.Signals
) -> None:
    with new_scene(run_words("stream", "cmle", "--input_topic={topic}")) as scene:
        scene.start().event("running")
        assert poll(lambda: len(read_of(scene)) == 1, WAIT_SECONDS)
        scene.feed.publish(MESSAGES)
        assert scene.settle().lost == frozenset()
        result, code, _ = end_by(number, scene.pipeline)
        assert (code, result["estimates"]) == (0, MESSAGES)
        assert read_of(scene) == []


def test_a_cancelled_pipeline_leaves_no_thread(new_scene: NewScene, tmp_path: Path) -> None:
    words = [
        *(*EXEC, sys.executable, str(CANCELLED), "--runner=DirectRunner"),
        *(f"--notes={tmp_path / 'notes'}", "--input_subscription={subscription}"),
    ]
    with new_scene(words) as scene:
        scene.feed.publish(1)
        assert scene.start().event("cancelled")["threads"] == []
        assert scene.pipeline.process.wait(WAIT_SECONDS) == 0


def read_of(scene: Scene) -> list[str]:
    """Return the subscriptions that a read of the topic made."""
    found = subscriptions(scene.fleet.endpoints.pubsub, scene.places.topic)
    return [name for name in found if name != scene.places.subscription]

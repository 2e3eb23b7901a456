"""A pipeline or a service that is killed at random moments, while messages come."""

import random
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from ..services.kills import new_chance
from .conditions import poll
from .feed import broken_now_and_then
from .pipeline_process import WAIT_SECONDS
from .scene import Scene, run_words

NewScene = Callable[..., AbstractContextManager[Scene]]

MOMENTS = 5
MESSAGES = 400
IN_FLIGHT = 100
MICRO_BATCHES = ("--batch_size=50", "--batch_seconds=0.3")
COMMANDS = {
    "pipeline": run_words("stream-m-batches", "cmle", *MICRO_BATCHES),
    "pubsub": run_words("stream-m-batches", "cmle", *MICRO_BATCHES),
    "bigquery": run_words("stream", "cmle"),
    "prediction": run_words("stream", "cmle"),
}


@pytest.mark.timeout(400)
@pytest.mark.parametrize("victim", COMMANDS)
def test_nothing_is_lost_whatever_is_killed(
    new_scene: NewScene, victim: str, record_property: Callable[[str, object], None]
) -> None:
    chance = new_chance()
    with new_scene(COMMANDS[victim], broken_now_and_then) as scene:
        scene.start().event("running")
        for _ in range(MOMENTS):
            feed_and_kill(scene, victim, chance)
        account = scene.settle()
        print(f"{victim} killed {MOMENTS} times: {account}")  # noqa: T201 - it is what this shows
        record_property("account", str(account))
        record_property("duplicates", account.duplicates)
        assert (account.lost, account.strangers) == (frozenset(), frozenset())
        assert scene.pipeline.drain() == 0, scene.pipeline.log_text()
        assert scene.owed() == 0


def feed_and_kill(scene: Scene, victim: str, chance: random.Random) -> None:
    """Kill the victim with some messages through and others half-way; then let all arrive."""
    before = scene.ledger.arrived()
    scene.feed_until(before + chance.randrange(MESSAGES), IN_FLIGHT)
    scene.feed.publish(IN_FLIGHT)
    assert poll(lambda: scene.out() > 0, WAIT_SECONDS)
    if victim == "pipeline":
        scene.pipeline.kill()
        scene.start_anew().event("running")
    else:
        scene.fleet.kill(victim)
        scene.fleet.start(victim)
    scene.feed_until(before + MESSAGES, IN_FLIGHT)

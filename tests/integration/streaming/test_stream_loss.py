"""Messages that cannot be estimated and steps that raise, with every service in good health."""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from .feed import broken_now_and_then
from .pipeline_process import EXEC
from .raising_pipeline import is_poison
from .scene import Scene, run_words

NewScene = Callable[..., AbstractContextManager[Scene]]

MESSAGES = 600
SCRIPT = Path(__file__).with_name("raising_pipeline.py")
# A traceback names the exception twice or so; what matters is that it is not once a try.
MOST_MENTIONS = 6
Report = Callable[[str, object], None]

pytestmark = pytest.mark.timeout(150)


def raising(when: str, notes: Path) -> list[str]:
    return [
        *EXEC,
        *(sys.executable, str(SCRIPT), "--runner=DirectRunner"),
        *(f"--when={when}", f"--notes={notes}", "--project=local-project"),
        "--input_subscription={subscription}",
        "--output_table=local-project:{table}",
    ]


@pytest.mark.parametrize("experiment", ["stream", "stream-m-batches"])
@pytest.mark.parametrize("inference_type", ["local", "cmle"])
def test_every_message_is_in_the_table_or_in_the_dead_letters(
    new_scene: NewScene, experiment: str, inference_type: str, record_property: Report
) -> None:
    with new_scene(run_words(experiment, inference_type), broken_now_and_then) as scene:
        scene.feed.publish(MESSAGES)
        scene.start()
        account = scene.settle()
        assert scene.pipeline.drain() == 0
        record_property("account", str(account))
        assert (account.lost, account.strangers) == (frozenset(), frozenset())
        assert frozenset(account.dead_letters) == {i for i in account.published if i % 25 == 0}
        assert account.duplicates == 0
        assert scene.owed() == 0


def test_a_message_on_which_a_step_always_raises_goes_to_the_dead_letter_topic(
    new_scene: NewScene, tmp_path: Path, record_property: Report
) -> None:
    words = raising("poison", tmp_path / "notes")
    with new_scene(words, dead_letters_to_topic=True) as scene:
        scene.feed.publish(MESSAGES)
        scene.start()
        account = scene.settle()
        record_property("account", str(account))
        assert account.lost == frozenset()
        assert frozenset(account.dead_letters) == set(filter(is_poison, account.published))
        assert not frozenset(account.rows) & frozenset(account.dead_letters)
        check_that_the_error_is_told_once(scene, "poison")


@pytest.mark.parametrize("when", ["chance", "first"])
def test_a_step_that_raises_now_and_then_loses_nothing(
    new_scene: NewScene, tmp_path: Path, when: str, record_property: Report
) -> None:
    with new_scene(raising(when, tmp_path / "notes")) as scene:
        scene.feed.publish(MESSAGES)
        scene.start()
        account = scene.settle()
        record_property("account", str(account))
        assert (account.lost, account.strangers) == (frozenset(), frozenset())
        check_that_the_error_is_told_once(scene, when)


def check_that_the_error_is_told_once(scene: Scene, when: str) -> None:
    mentions = scene.pipeline.log.read_text().count(f"this DoFn raises ({when})")
    assert 1 <= mentions <= MOST_MENTIONS, scene.pipeline.log_text()

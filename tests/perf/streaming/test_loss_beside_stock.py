"""What is lost, on Beam's own local runner and on ours, where steps raise and pipelines die.

A pipeline that ends is started again, as somebody who watches it would do.
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from tf_dataflow_serving.services.redirect import SITE_DIRECTORY

from ...integration.streaming import raising_pipeline
from ...integration.streaming.accounting import Account
from ...integration.streaming.conditions import poll
from ...integration.streaming.fleet import Fleet, fleet_of
from ...integration.streaming.pipeline_process import EXEC
from ...integration.streaming.scene import SETTLE_SECONDS, Scene, scene_of

MESSAGES = 600
LIMIT_SECONDS = 150.0
# Nothing more is owed, and nothing has come for so long: nothing will.
QUIET_SECONDS = 5.0
SCRIPT = Path(raising_pipeline.__file__)
STOCK = Path(__file__).with_name("stock_beam.py")
# The case by name: when its step raises, and whether the pipeline is killed half-way.
CASES = {"poison": ("poison", False), "raising": ("chance", False), "killed": ("never", True)}
COMMANDS = {
    "stock Beam": [sys.executable, str(STOCK), str(SCRIPT), "--runner=BundleBasedDirectRunner"],
    "ours": [*EXEC, sys.executable, str(SCRIPT), "--runner=DirectRunner"],
}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with fleet_of(tmp_path_factory.mktemp("fleet")) as running:
        yield running


@pytest.mark.timeout(500)
@pytest.mark.parametrize("case", CASES)
def test_loss_beside_stock(fleet: Fleet, tmp_path: Path, benchmark: Any, case: str) -> None:
    def both() -> dict[str, Account]:
        return {name: outcome(fleet, tmp_path, name, case) for name in COMMANDS}

    accounts = benchmark.pedantic(both, rounds=1, iterations=1)
    for name, account in accounts.items():
        benchmark.extra_info[name] = str(account)
        print(f"{case:8} {name:10}: {account}")  # noqa: T201 - it is what this shows
    assert accounts["ours"].lost == frozenset()


def outcome(fleet: Fleet, directory: Path, name: str, case: str) -> Account:
    """Run one case with one runner."""
    when, is_killed = CASES[case]
    flags = [
        *(f"--when={when}", f"--notes={directory / 'notes'}", "--project=local-project"),
        *("--input_subscription={subscription}", "--output_table=local-project:{table}"),
    ]
    log = directory / f"{case}-{name.replace(' ', '-')}.log"
    words = [*COMMANDS[name], *flags]
    with scene_of(fleet, log, words, dead_letters_to_topic=case == "poison") as scene:
        if name == "stock Beam":
            scene.environment = untouched(scene.environment)
        scene.feed.publish(MESSAGES)
        scene.start()
        if is_killed:
            assert poll(lambda: scene.ledger.arrived() >= MESSAGES // 2, SETTLE_SECONDS)
            scene.pipeline.kill()
            scene.start_anew()
        run_until_quiet(scene)
        return scene.account()


def untouched(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without what reaches into the Pythons that start in it."""
    path = [part for part in environment["PYTHONPATH"].split(":") if part != str(SITE_DIRECTORY)]
    return {**environment, "PYTHONPATH": ":".join(path)}


def run_until_quiet(scene: Scene) -> None:
    """Go on until every message has arrived, or none is left that could."""
    end = monotonic() + LIMIT_SECONDS
    while (before := scene.account()).lost and monotonic() < end:
        nothing_owed = scene.owed() == 0
        poll(lambda: has_ended(scene) or not scene.account().lost, QUIET_SECONDS)
        if has_ended(scene):
            scene.start_anew()
        elif scene.account().arrived == before.arrived:
            if nothing_owed:
                return
            scene.expire_leases()


def has_ended(scene: Scene) -> bool:
    return scene.pipeline.process.poll() is not None

"""A service that is killed again and again while actors use it."""

import random
import secrets
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import httpx

from tf_dataflow_serving.services.process import ServiceProcess

WAIT_SECONDS = 60.0

Start = Callable[[], ServiceProcess]


class Actor(Protocol):
    """Uses a part of the service that no other actor touches, and knows what must be in it."""

    def run(self, client: httpx.Client, answered: Callable[[], None]) -> None:
        """Go on until the service is gone."""

    def settle(self, client: httpx.Client) -> None:
        """Compare what a new service has with what must be there."""


def client_of(service: ServiceProcess) -> httpx.Client:
    url = f"http://127.0.0.1:{service.ports['http']}"
    return httpx.Client(base_url=url, timeout=WAIT_SECONDS, trust_env=False)


def kill(service: ServiceProcess) -> None:
    service.process.send_signal(signal.SIGKILL)
    service.process.wait(WAIT_SECONDS)


def new_chance() -> random.Random:
    seed = secrets.randbits(32)
    print(f"seed {seed}")  # noqa: T201 - for whoever looks into a failure
    return random.Random(seed)


def check_that_answers_outlive_kills(
    start: Start, actors: Sequence[Actor], chance: random.Random, rounds: int, most_answers: int
) -> ServiceProcess:
    """Kill the service in each round; the one that is left is returned, its state checked."""
    service = start()
    for _ in range(rounds):
        _use_and_kill(service, actors, chance.randint(1, most_answers))
        service = start()
        with client_of(service) as client:
            for actor in actors:
                actor.settle(client)
    return service


def _use_and_kill(service: ServiceProcess, actors: Sequence[Actor], answers: int) -> None:
    """Let all work at the same time, and kill the service after some answers."""
    answered = threading.Semaphore(0)
    with client_of(service) as client, ThreadPoolExecutor(len(actors)) as threads:
        try:
            work = [threads.submit(actor.run, client, answered.release) for actor in actors]
            for _ in range(answers):
                failed = any(one.done() for one in work)
                assert failed or answered.acquire(timeout=WAIT_SECONDS)
        finally:
            kill(service)
        for one in work:
            one.result(WAIT_SECONDS)

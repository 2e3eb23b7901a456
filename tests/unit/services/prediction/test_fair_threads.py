import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tf_dataflow_serving.services.prediction.errors import JobStopped
from tf_dataflow_serving.services.prediction.jobs.fair_threads import FairThreads


def with_one_thread(scenario):
    async def run():
        with ThreadPoolExecutor(1) as pool:
            return await scenario(FairThreads(pool, 1))

    return asyncio.run(run())


def test_owners_have_the_thread_in_turn():
    done = []

    async def scenario(threads):
        work = [threads.run(owner, done.append, owner) for owner in "aaaabbc"]
        await asyncio.gather(*work)

    with_one_thread(scenario)
    assert done == ["a", "a", "b", "c", "a", "b", "a"]


def test_a_result_and_an_error_come_back_and_the_thread_is_free_again():
    async def scenario(threads):
        assert await threads.run("a", divmod, 7, 2) == (3, 1)
        with pytest.raises(ZeroDivisionError):
            await threads.run("a", divmod, 7, 0)
        return await threads.run("a", len, "abc")

    assert with_one_thread(scenario) == 3


def test_who_withdraws_waits_no_longer():
    gate = threading.Event()

    async def scenario(threads):
        running, waiting, other = (
            asyncio.create_task(threads.run(owner, gate.wait, 30)) for owner in "aab"
        )
        await asyncio.sleep(0)
        threads.withdraw("a")
        with pytest.raises(JobStopped):
            await waiting
        gate.set()
        assert await asyncio.gather(running, other) == [True, True]

    with_one_thread(scenario)

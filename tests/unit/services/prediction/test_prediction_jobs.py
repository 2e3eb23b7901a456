"""Jobs over a directory in place of gs://, which is the only thing here that is not real."""

import ast
import asyncio
import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tf_dataflow_serving.services.prediction.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    StorageFailed,
)
from tf_dataflow_serving.services.prediction.jobs import BatchJobs, JobDefinition, JobState

NOW = datetime(2020, 1, 2, tzinfo=UTC)
GOOD = {"x": 1.0, "word": "a"}


class DirectoryStore:
    """gs:// as a directory; a download waits for `gate`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.gate = threading.Event()
        self.gate.set()
        self.downloading = threading.Semaphore(0)

    def matching(self, pattern: str) -> list[str]:
        found = self.root.glob(pattern.removeprefix("gs://"))
        return sorted(f"gs://{path.relative_to(self.root)}" for path in found)

    def download(self, uri: str, target: Path) -> None:
        self.downloading.release()
        assert self.gate.wait(30)
        if "broken" in uri:
            raise StorageFailed(f"{uri}: gone")
        shutil.copy(self.root / uri.removeprefix("gs://"), target)

    def upload(self, source: Path, uri: str) -> None:
        target = self.root / uri.removeprefix("gs://")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path)


@pytest.fixture
def job(zoo) -> JobDefinition:
    return JobDefinition(
        job_id="j1",
        given={},
        input_paths=["gs://b/in/*"],
        output_path="gs://b/out/",
        model=lambda: zoo,
        signature_name=None,
        max_workers=10,
        batch_size=4,
    )


def put(store: DirectoryStore, name: str, *lines: object) -> None:
    path = store.root / "b" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    text = (line if isinstance(line, str) else json.dumps(line) for line in lines)
    path.write_text("".join(f"{line}\n" for line in text))


def results(store: DirectoryStore) -> dict[str, list[str]]:
    return {path.name: path.read_text().splitlines() for path in (store.root / "b/out").glob("*")}


def in_service(store, scenario, concurrent=2):
    """Run a scenario that gets the jobs and a function that waits for one to end."""

    async def run():
        with ThreadPoolExecutor(2) as threads:
            jobs = BatchJobs(store, threads, lambda: NOW, concurrent)
            try:
                return await scenario(jobs)
            finally:
                store.gate.set()
                await jobs.close()

    return asyncio.run(run())


async def ended(job):
    async with asyncio.timeout(30):
        while not job.finished:
            await asyncio.sleep(0.005)
    return job


def run(store, definition):
    async def scenario(jobs):
        return await ended(jobs.submit("p", definition))

    return in_service(store, scenario)


def test_predicts_every_line_in_order(store, job):
    put(store, "in/a", *(GOOD | {"x": i} for i in range(10)))
    done = run(store, job)
    assert (done.state, done.created, done.started, done.ended) == (
        JobState.SUCCEEDED,
        NOW,
        NOW,
        NOW,
    )
    assert (done.tally.predictions, done.tally.errors.total()) == (10, 0)
    assert done.tally.node_hours > 0
    assert results(store) == {
        "prediction.results-00000-of-00001": [
            json.dumps({"predictions": [2.0 * i + 1]}, separators=(",", ":")) for i in range(10)
        ],
        "prediction.errors_stats-00000-of-00001": [],
    }


def test_passes_keys_through_where_the_signature_does(store, job):
    put(store, "in/a", *(GOOD | {"key": f"k{i}"} for i in range(5)))
    run(store, replace(job, signature_name="predict_keyed"))
    lines = results(store)["prediction.results-00000-of-00001"]
    assert [json.loads(line)["key"] for line in lines] == [f"k{i}" for i in range(5)]


def test_bad_lines_are_counted_and_lose_no_others(store, job):
    bad = GOOD | {"x": "many"}
    put(store, "in/a", GOOD, "{", GOOD, bad, bad, GOOD, {"x": 1}, "", GOOD, "[1]")
    done = run(store, job)
    assert (done.state, done.tally.predictions) == (JobState.SUCCEEDED, 4)
    assert len(results(store)["prediction.results-00000-of-00001"]) == 4
    lines = results(store)["prediction.errors_stats-00000-of-00001"]
    counts = dict(ast.literal_eval(line) for line in lines)
    assert sum(counts.values()) == done.tally.errors.total() == 5
    assert 2 in counts.values()
    assert any("the line is not JSON" in message for message in counts)


@pytest.mark.parametrize(("workers", "shards"), [(1, 1), (2, 2), (3, 3), (10, 5)])
def test_shards_the_inputs_among_no_more_than_the_workers_allowed(store, job, workers, shards):
    for index in range(5):
        put(store, f"in/{index}", GOOD | {"x": index})
    run(store, replace(job, max_workers=workers))
    names = [name for name in results(store) if "results" in name]
    assert sorted(names) == [f"prediction.results-{i:05d}-of-{shards:05d}" for i in range(shards)]
    written = sorted(line for name in names for line in results(store)[name])
    assert written == sorted(f'{{"predictions":[{2.0 * i + 1}]}}' for i in range(5))


def test_an_object_that_two_patterns_match_is_read_once(store, job):
    put(store, "in/a", GOOD)
    done = run(store, replace(job, input_paths=["gs://b/in/*", "gs://b/in/a"]))
    assert done.tally.predictions == 1


def test_an_empty_input_gives_empty_results(store, job):
    put(store, "in/a")
    assert run(store, job).state is JobState.SUCCEEDED
    assert results(store)["prediction.results-00000-of-00001"] == []


def test_fails_without_input(store, job):
    done = run(store, job)
    assert done.state is JobState.FAILED
    assert "doesn't contain any input files" in done.error_message


def test_fails_without_the_signature(store, job):
    put(store, "in/a", GOOD)
    done = run(store, replace(job, signature_name="missing"))
    assert done.state is JobState.FAILED
    assert '"missing" not found' in done.error_message


def test_fails_as_a_whole_when_an_object_cannot_be_read(store, job):
    for name in ("in/a", "in/broken", "in/c"):
        put(store, name, GOOD)
    done = run(store, job)
    assert (done.state, done.error_message) == (JobState.FAILED, "gs://b/in/broken: gone")
    assert results(store) == {}


def test_a_running_job_stops_when_cancelled(store, job):
    put(store, "in/a", GOOD)
    store.gate.clear()

    async def scenario(jobs):
        running = jobs.submit("p", job)
        await asyncio.to_thread(store.downloading.acquire)
        assert running.state is JobState.RUNNING
        jobs.cancel("p", "j1")
        assert running.state is JobState.CANCELLING
        store.gate.set()
        return await ended(running)

    done = in_service(store, scenario)
    assert done.state is JobState.CANCELLED
    assert results(store) == {}


def test_a_queued_job_is_cancelled_at_once(store, job):
    put(store, "in/a", GOOD)
    store.gate.clear()

    async def scenario(jobs):
        first = jobs.submit("p", job)
        second = jobs.submit("p", replace(job, job_id="j2"))
        await asyncio.to_thread(store.downloading.acquire)
        assert (first.state, second.state) == (JobState.RUNNING, JobState.QUEUED)
        jobs.cancel("p", "j2")
        assert second.state is JobState.CANCELLED
        store.gate.set()
        await ended(first)
        return first, second

    first, second = in_service(store, scenario, concurrent=1)
    assert (first.state, second.state) == (JobState.SUCCEEDED, JobState.CANCELLED)


def test_jobs_belong_to_projects_and_have_unique_names(store, job):
    put(store, "in/a", GOOD)

    async def scenario(jobs):
        first = jobs.submit("p", job)
        second = jobs.submit("p", replace(job, job_id="j2"))
        with pytest.raises(AlreadyExists):
            jobs.submit("p", job)
        with pytest.raises(NotFound):
            jobs.get("q", "j1")
        with pytest.raises(InvalidArgument):
            jobs.submit("p", replace(job, job_id="1-no-name"))
        assert jobs.jobs("p") == [second, first]
        await ended(first)
        with pytest.raises(FailedPrecondition, match="has ended: SUCCEEDED"):
            jobs.cancel("p", "j1")

    in_service(store, scenario)

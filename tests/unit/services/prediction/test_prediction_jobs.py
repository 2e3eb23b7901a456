"""Jobs from their request to their results, in one start of the service."""

import ast
import asyncio
import gzip
import json
from dataclasses import replace

import pytest

from tf_dataflow_serving.services.prediction.errors import (
    AlreadyExists,
    FailedPrecondition,
    NotFound,
)
from tf_dataflow_serving.services.prediction.jobs.job import (
    JobDefinition,
    JobState,
    ModelOrigin,
    ModelReference,
)
from tf_dataflow_serving.services.prediction.jobs.line_forms import InstanceLines, RecordLines

from .job_bench import NOW, DirectoryStore, JobBench, ended

GOOD = {"x": 1.0, "word": "a"}
NAME = "projects/p/jobs/j1"
OTHER = "projects/p/jobs/j2"


@pytest.fixture
def store(tmp_path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "objects")


@pytest.fixture
def bench(store, zoo, tmp_path) -> JobBench:
    return JobBench(store, lambda _: zoo, tmp_path / "jobs")


@pytest.fixture
def job() -> JobDefinition:
    return JobDefinition(
        name=NAME,
        given={},
        inputs=["gs://b/in/*"],
        output_directory="gs://b/out/",
        model=ModelReference(ModelOrigin.STORAGE, ("gs://b/model",)),
        signature_name=None,
        max_workers=1,
        batch_size=4,
        lines=InstanceLines(),
    )


def run(bench, definition):
    async def scenario(jobs):
        return await ended(jobs.submit(definition))

    return bench.started(scenario)


def test_predicts_every_line_in_order(bench, store, job):
    store.put("in/a", *(GOOD | {"x": i} for i in range(10)))
    done = run(bench, job)
    assert (done.state, done.created, done.started, done.ended) == (
        JobState.SUCCEEDED,
        NOW,
        NOW,
        NOW,
    )
    assert (done.tally.predictions, done.tally.errors.total()) == (10, 0)
    # Each of the two pieces takes one second of the bench's timer.
    assert done.tally.node_hours == 2 / 3600
    assert store.results() == {
        "prediction.results-00000-of-00001": [
            json.dumps({"predictions": [2.0 * i + 1]}, separators=(",", ":")) for i in range(10)
        ],
        "prediction.errors_stats-00000-of-00001": [],
    }


def test_passes_keys_through_where_the_signature_does(bench, store, job):
    store.put("in/a", *(GOOD | {"key": f"k{i}"} for i in range(5)))
    run(bench, replace(job, signature_name="predict_keyed"))
    lines = store.results()["prediction.results-00000-of-00001"]
    assert [json.loads(line)["key"] for line in lines] == [f"k{i}" for i in range(5)]


def test_bad_lines_are_counted_and_lose_no_others(bench, store, job):
    bad = GOOD | {"x": "many"}
    store.put("in/a", GOOD, "{", GOOD, bad, bad, GOOD, {"x": 1}, "", GOOD, "[1]")
    done = run(bench, job)
    assert (done.state, done.tally.predictions) == (JobState.SUCCEEDED, 4)
    assert len(store.results()["prediction.results-00000-of-00001"]) == 4
    lines = store.results()["prediction.errors_stats-00000-of-00001"]
    counts = dict(ast.literal_eval(line) for line in lines)
    assert sum(counts.values()) == done.tally.errors.total() == 5
    assert 2 in counts.values()
    assert any("the line is not JSON" in message for message in counts)


@pytest.mark.parametrize(("workers", "shards"), [(1, 1), (2, 2), (3, 3), (10, 5)])
def test_shards_the_inputs_among_no_more_than_the_workers_allowed(
    bench, store, job, workers, shards
):
    for index in range(5):
        store.put(f"in/{index}", GOOD | {"x": index})
    run(bench, replace(job, max_workers=workers))
    names = [name for name in store.results() if "results" in name]
    assert sorted(names) == [f"prediction.results-{i:05d}-of-{shards:05d}" for i in range(shards)]
    written = sorted(line for name in names for line in store.results()[name])
    assert written == sorted(f'{{"predictions":[{2.0 * i + 1}]}}' for i in range(5))


def test_an_object_that_two_patterns_match_is_read_once(bench, store, job):
    store.put("in/a", GOOD)
    done = run(bench, replace(job, inputs=["gs://b/in/*", "gs://b/in/a"]))
    assert done.tally.predictions == 1


def test_an_empty_input_gives_empty_results(bench, store, job):
    store.put("in/a")
    assert run(bench, job).state is JobState.SUCCEEDED
    assert store.results()["prediction.results-00000-of-00001"] == []


def test_fails_without_input(bench, store, job):
    done = run(bench, job)
    assert done.state is JobState.FAILED
    assert "doesn't contain any input files" in done.error_message


def test_fails_without_the_signature(bench, store, job):
    store.put("in/a", GOOD)
    done = run(bench, replace(job, signature_name="missing"))
    assert done.state is JobState.FAILED
    assert '"missing" not found' in done.error_message


def test_fails_as_a_whole_when_an_object_cannot_be_read(bench, store, job):
    for name in ("in/a", "in/broken", "in/c"):
        store.put(name, GOOD)
    done = run(bench, job)
    assert (done.state, done.error_message) == (JobState.FAILED, "gs://b/in/broken: gone")
    assert store.results() == {}


def test_a_full_disk_fails_the_job_and_says_so(bench, store, job):
    store.put("in/a", GOOD)
    directory = bench.files / "workspace-0"
    directory.mkdir(parents=True)
    (directory / "prediction.results-00000-of-00001").symlink_to("/dev/full")
    done = run(bench, job)
    assert done.state is JobState.FAILED
    assert done.error_message.startswith("The service cannot keep the job's work: [Errno")
    assert list(bench.files.iterdir()) == []


def test_a_running_job_stops_when_cancelled(bench, store, job):
    store.put("in/a", GOOD)
    store.gate.clear()

    async def scenario(jobs):
        running = jobs.submit(job)
        await asyncio.to_thread(store.opened.acquire)
        assert running.state is JobState.RUNNING
        jobs.cancel(NAME)
        assert running.state is JobState.CANCELLING
        store.gate.set()
        return await ended(running)

    done = bench.started(scenario)
    assert done.state is JobState.CANCELLED
    assert store.results() == {}


def test_a_queued_job_is_cancelled_at_once(bench, store, job):
    store.put("in/a", GOOD)
    store.gate.clear()

    async def scenario(jobs):
        first = jobs.submit(job)
        second = jobs.submit(replace(job, name=OTHER))
        await asyncio.to_thread(store.opened.acquire)
        assert (first.state, second.state) == (JobState.RUNNING, JobState.QUEUED)
        jobs.cancel(OTHER)
        assert second.state is JobState.CANCELLED
        store.gate.set()
        await ended(first)
        return first, second

    first, second = bench.started(scenario, concurrent=1)
    assert (first.state, second.state) == (JobState.SUCCEEDED, JobState.CANCELLED)


def test_jobs_belong_to_collections_and_have_unique_names(bench, store, job):
    store.put("in/a", GOOD)

    async def scenario(jobs):
        first = jobs.submit(job)
        second = jobs.submit(replace(job, name=OTHER, output_directory="gs://b/elsewhere"))
        with pytest.raises(AlreadyExists):
            jobs.submit(job)
        with pytest.raises(NotFound, match='"j1" was not found'):
            jobs.get("projects/q/jobs/j1")
        assert jobs.jobs("projects/p/jobs") == [second, first]
        assert jobs.jobs("projects/q/jobs") == []
        assert jobs.output_directories() == {"gs://b/out/", "gs://b/elsewhere"}
        await ended(first)
        with pytest.raises(FailedPrecondition, match="has ended: SUCCEEDED"):
            jobs.cancel(NAME)

    bench.started(scenario)


def test_a_job_is_deleted_once_it_has_ended(bench, store, job):
    store.put("in/a", GOOD)
    store.gate.clear()

    async def scenario(jobs):
        running = jobs.submit(job)
        with pytest.raises(FailedPrecondition, match="has not ended"):
            jobs.delete(NAME)
        store.gate.set()
        await ended(running)
        jobs.delete(NAME)
        with pytest.raises(NotFound):
            jobs.get(NAME)

    bench.started(scenario)


def test_a_job_that_is_cancelled_while_it_publishes_leaves_nothing(bench, store, job):
    store.put("in/a", GOOD)
    store.upload_gate.clear()

    async def scenario(jobs):
        running = jobs.submit(job)
        await asyncio.to_thread(store.uploading.acquire)
        jobs.cancel(NAME)
        store.upload_gate.set()
        return await ended(running)

    assert bench.started(scenario).state is JobState.CANCELLED
    assert len(store.uploads) == 1
    assert store.results() == {}


def test_a_cancelled_job_leaves_what_others_have_published(bench, store, job):
    store.put("in/a", GOOD)
    store.put("out/prediction.errors_stats-00000-of-00001", "of another job")
    store.upload_gate.clear()

    async def scenario(jobs):
        running = jobs.submit(job)
        await asyncio.to_thread(store.uploading.acquire)
        jobs.cancel(NAME)
        store.upload_gate.set()
        return await ended(running)

    assert bench.started(scenario).state is JobState.CANCELLED
    assert store.results() == {"prediction.errors_stats-00000-of-00001": ["of another job"]}


def test_predictions_so_far_are_there_to_see(bench, store, job):
    store.put("in/a", *[GOOD] * 4)
    store.put("in/b", *[GOOD] * 4)

    async def scenario(jobs):
        running = jobs.submit(job)
        await asyncio.to_thread(store.opened.acquire)
        store.gate.clear()
        await asyncio.to_thread(store.opened.acquire)
        assert (running.state, running.tally.predictions) == (JobState.RUNNING, 4)
        store.gate.set()
        return await ended(running)

    assert bench.started(scenario).tally.predictions == 8


def test_a_job_with_one_piece_does_not_wait_for_one_with_many(bench, store, job):
    for index in range(40):
        store.put(f"many/{index}", GOOD)
    store.put("in/a", GOOD)
    store.gate.clear()

    async def scenario(jobs):
        many = jobs.submit(replace(job, name=OTHER, inputs=["gs://b/many/*"], max_workers=40))
        await asyncio.to_thread(store.opened.acquire)
        single = jobs.submit(job)
        store.gate.set()
        await asyncio.gather(ended(single), ended(many))

    bench.started(scenario)
    assert store.openings.index("gs://b/in/a") < 20


def test_the_storage_service_may_be_away_for_some_time(bench, store, job):
    store.put("in/a", GOOD)
    store.away = 2
    assert run(bench, job).state is JobState.SUCCEEDED


def test_compressed_objects_are_read(bench, store, job):
    store.put("in/a.gz")
    lines = b"".join(json.dumps(GOOD | {"x": i}).encode() + b"\n" for i in range(50))
    (store.root / "b/in/a.gz").write_bytes(gzip.compress(lines))
    assert run(bench, job).tally.predictions == 50


def test_an_object_that_is_compressed_in_name_only_fails_the_job(bench, store, job):
    store.put("in/a.gz", GOOD)
    done = run(bench, job)
    assert done.state is JobState.FAILED
    assert "gs://b/in/a.gz is not gzip" in done.error_message


def test_a_record_that_is_nested_too_deeply_to_be_written_is_a_bad_line(bench, store, job):
    deep = f'{{"x": 1, "word": "", "more": {"[" * 500}{"]" * 500}}}'
    store.put("in/a", deep, GOOD)
    done = run(bench, replace(job, lines=RecordLines(excluded_fields=("more",))))
    assert (done.state, done.tally.predictions) == (JobState.SUCCEEDED, 1)
    assert "Error writing the result: Recursion limit reached" in done.tally.errors


def test_results_have_the_form_that_the_job_wants(bench, store, job):
    store.put("in/a", GOOD | {"id": 7}, {"id": 8})
    done = run(bench, replace(job, lines=RecordLines(key_field="id")))
    assert store.results()["prediction.results-00000-of-00001"] == ['{"key":7,"prediction":[3.0]}']
    assert done.tally.errors.total() == 1

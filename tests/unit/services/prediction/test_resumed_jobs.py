"""Jobs that one start of the service begins and another one ends."""

import asyncio
import json
from dataclasses import replace

import pytest

from tf_dataflow_serving.services.prediction.errors import NotFound
from tf_dataflow_serving.services.prediction.jobs.archive import JobArchive
from tf_dataflow_serving.services.prediction.jobs.documents import Plan
from tf_dataflow_serving.services.prediction.jobs.job import (
    Job,
    JobDefinition,
    JobState,
    ModelOrigin,
    ModelReference,
    Progress,
)
from tf_dataflow_serving.services.prediction.jobs.line_forms import RecordLines

from .job_bench import NOW, PIECE_BYTES, THREADS, DirectoryStore, JobBench, ended

NAME = "projects/p/locations/l/batchPredictionJobs/1"
RECORDS = 100
WORKERS = 3


@pytest.fixture
def store(tmp_path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "objects")


@pytest.fixture
def bench(store, zoo, tmp_path) -> JobBench:
    return JobBench(store, lambda _: zoo, tmp_path / "jobs")


@pytest.fixture
def job(store) -> JobDefinition:
    store.put("in/a", *({"id": i, "x": float(i), "word": ""} for i in range(RECORDS)))
    return JobDefinition(
        name=NAME,
        given={"displayName": "j"},
        inputs=["gs://b/in/*"],
        output_directory="gs://b/out",
        model=ModelReference(ModelOrigin.VERTEX_AI, ("p", "l", "m", "1")),
        signature_name=None,
        max_workers=WORKERS,
        batch_size=4,
        lines=RecordLines(key_field="id", included_fields=("x", "word")),
    )


def begin(bench, job, openings):
    """End the service after so many pieces were begun."""

    async def scenario(jobs):
        begun = jobs.submit(job)
        for _ in range(openings):
            await asyncio.to_thread(bench.store.opened.acquire)
        return begun

    return bench.started(scenario)


def finish(bench):
    async def scenario(jobs):
        return await ended(jobs.get(NAME))

    return bench.started(scenario)


def check_results(store):
    lines = [line for name, found in store.results().items() if "results" in name for line in found]
    rows = sorted((json.loads(line) for line in lines), key=lambda row: row["key"])
    assert rows == [{"key": i, "prediction": [2.0 * i]} for i in range(RECORDS)]


@pytest.mark.parametrize("openings", [0, 1, 2, 5, 11, 15])
def test_a_job_goes_on_where_it_was(bench, store, job, openings):
    begun = begin(bench, job, openings)
    pieces = -(-(store.root / "b/in/a").stat().st_size // PIECE_BYTES)
    assert openings < pieces
    assert not begun.finished
    done = finish(bench)
    assert (done.state, done.tally.predictions) == (JobState.SUCCEEDED, RECORDS)
    assert done.definition == job
    check_results(store)
    assert len(store.openings) <= pieces + THREADS
    assert list(bench.files.iterdir()) == []


def test_node_hours_add_up(bench, job):
    before = begin(bench, job, 8).tally.node_hours
    assert finish(bench).tally.node_hours > before > 0


def test_bytes_that_no_finished_piece_wrote_do_not_count(bench, store, job):
    begin(bench, job, 5)
    for path in bench.files.glob("*/*"):
        with path.open("ab") as results:
            results.write(b'{"key":0,"pred')
    assert finish(bench).state is JobState.SUCCEEDED
    check_results(store)


def test_a_worker_whose_file_is_lost_begins_again(bench, store, job):
    begin(bench, job, 8)
    for path in bench.files.glob("*/*"):
        path.unlink()
    assert finish(bench).tally.predictions == RECORDS
    check_results(store)


def test_an_end_in_the_middle_of_publishing_leaves_no_object_out(bench, store, job):
    store.upload_gate.clear()

    async def scenario(jobs):
        begun = jobs.submit(job)
        await asyncio.to_thread(store.uploading.acquire)
        return begun

    assert not bench.started(scenario).finished
    assert len(store.uploads) == 1
    assert finish(bench).state is JobState.SUCCEEDED
    assert len(store.results()) == WORKERS + 1
    check_results(store)


def test_a_job_that_was_being_cancelled_is_cancelled(bench, store, job):
    archive = JobArchive(bench.documents, bench.files)
    halfway = Job(job, NOW, "workspace", JobState.CANCELLING, NOW, publishing=True)
    archive.save(halfway)
    archive.save_plan(halfway, Plan(store.matching("gs://b/in/*"), WORKERS, PIECE_BYTES))
    finished, others = (f"prediction.results-{i:05d}-of-{WORKERS:05d}" for i in (0, 1))
    store.put("results", "a result")
    store.upload(store.root / "b/results", f"gs://b/out/{finished}", halfway.workspace)
    store.put(f"out/{others}", "of another job")
    assert finish(bench).state is JobState.CANCELLED
    assert store.results() == {others: ["of another job"]}
    assert store.openings == []


def test_the_storage_service_may_come_up_later(bench, store, job):
    begin(bench, job, 5)
    store.away = 2
    assert finish(bench).state is JobState.SUCCEEDED
    check_results(store)


def test_a_job_fails_whose_model_is_gone(bench, store, job):
    begin(bench, job, 5)

    def load(_):
        raise NotFound("name", "The model was not found.")

    done = finish(replace(bench, load_model=load))
    assert done.state is JobState.FAILED
    assert "The model was not found." in done.error_message
    assert store.results() == {}


def test_what_a_crash_left_of_a_job_that_had_ended_is_removed(bench, store, job):
    archive = JobArchive(bench.documents, bench.files)
    done = Job(job, NOW, "workspace", JobState.SUCCEEDED, NOW, NOW)
    plan = Plan(store.matching("gs://b/in/*"), WORKERS, PIECE_BYTES)
    done.workers = plan.workers()
    archive.save(done)
    archive.save_plan(done, plan)
    archive.save_progress(done, 1, Progress())
    (archive.directory(done) / "results").touch()
    assert finish(bench).tally.predictions == 0
    assert list(bench.files.iterdir()) == []
    assert [bench.documents.all(kind) for kind in ("job_plans", "job_progress")] == [{}, {}]


def test_a_job_that_has_ended_is_still_there_until_it_is_deleted(bench, job):
    async def submit(jobs):
        return await ended(jobs.submit(job))

    async def delete(jobs):
        jobs.delete(NAME)

    async def listed(jobs):
        return jobs.jobs("projects/p/locations/l/batchPredictionJobs")

    first = bench.started(submit)
    (again,) = bench.started(listed)
    assert again is not first
    for part in ("definition", "state", "created", "started", "ended", "error_message"):
        assert getattr(again, part) == getattr(first, part)
    assert again.tally.document() == first.tally.document()
    bench.started(delete)
    assert bench.started(listed) == []

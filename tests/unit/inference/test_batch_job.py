import pytest

from tf_dataflow_serving.inference import cmle_job, vertex_job
from tf_dataflow_serving.inference.batch_job import BatchJob, JobState, JobStatus, wait
from tf_dataflow_serving.inference.cmle_job import CmleJobClient, CmleJobResults
from tf_dataflow_serving.inference.endpoint import PredictionEndpoint, VertexModel
from tf_dataflow_serving.inference.errors import (
    EndpointRefused,
    JobFailed,
    JobTimedOut,
    PredictionUnavailable,
)
from tf_dataflow_serving.inference.polling import Polling
from tf_dataflow_serving.inference.results import NOT_FINITE
from tf_dataflow_serving.inference.retry import RetryPolicy
from tf_dataflow_serving.inference.vertex_job import VertexJobClient, VertexJobResults

VERTEX_NAME = "projects/p/locations/l/batchPredictionJobs/1"


def test_reads_a_cloud_ml_engine_job_with_counts_that_are_strings():
    resource = {
        "jobId": "j",
        "state": "SUCCEEDED",
        "predictionInput": {"outputPath": "gs://b/out"},
        "predictionOutput": {"predictionCount": "12", "errorCount": "3", "nodeHours": 0.25},
    }
    status = cmle_job.job_status(resource)
    assert status == JobStatus("j", JobState.SUCCEEDED, 12, 3, 0.25, "", "gs://b/out")
    assert status.finished


def test_reads_a_vertex_job_with_counts_that_are_strings():
    resource = {
        "name": VERTEX_NAME,
        "state": "JOB_STATE_PARTIALLY_SUCCEEDED",
        "completionStats": {"successfulCount": "12", "failedCount": "3"},
        "resourcesConsumed": {"replicaHours": 0.25},
        "outputInfo": {"gcsOutputDirectory": "gs://b/out/prediction-m-2020"},
        "error": {"code": 3, "message": "some lines"},
    }
    assert vertex_job.job_status(resource) == JobStatus(
        VERTEX_NAME,
        JobState.PARTIALLY_SUCCEEDED,
        12,
        3,
        0.25,
        "some lines",
        "gs://b/out/prediction-m-2020",
    )


@pytest.mark.parametrize(
    ("read", "resource"),
    [
        (cmle_job.job_status, {"jobId": "j", "state": "QUEUED"}),
        (vertex_job.job_status, {"name": VERTEX_NAME, "state": "JOB_STATE_QUEUED"}),
    ],
)
def test_a_job_that_has_just_begun_has_no_counts(read, resource):
    status = read(resource)
    assert (status.predictions, status.errors, status.finished) == (0, 0, False)
    assert status.output_directory == ""


@pytest.mark.parametrize("state", ["STATE_UNSPECIFIED", None])
def test_a_state_may_be_unspecified(state):
    job = {} if state is None else {"state": state}
    assert cmle_job.job_status({"jobId": "j", **job}).state is JobState.UNSPECIFIED
    vertex = {} if state is None else {"state": f"JOB_{state}"}
    assert vertex_job.job_status({"name": "n", **vertex}).state is JobState.UNSPECIFIED


@pytest.mark.parametrize(
    "resource",
    [
        {},
        {"jobId": "j", "state": "DANCING"},
        {"jobId": "j", "state": 7},
        {"jobId": "j", "predictionOutput": {"errorCount": "x"}},
    ],
)
def test_refuses_what_is_no_cloud_ml_engine_job(resource):
    with pytest.raises(EndpointRefused, match="not a job"):
        cmle_job.job_status(resource)


@pytest.mark.parametrize(
    "resource",
    [
        {},
        {"name": "n", "state": "JOB_STATE_DANCING"},
        {"name": "n", "state": 7},
        {"name": "n", "completionStats": {"failedCount": "x"}},
        {"name": "n", "completionStats": 1},
    ],
)
def test_refuses_what_is_no_vertex_job(resource):
    with pytest.raises(EndpointRefused, match="not a job"):
        vertex_job.job_status(resource)


@pytest.mark.parametrize(
    ("results", "line"),
    [
        (CmleJobResults("key"), '{"predictions": [%s], "key": "k"}'),
        (VertexJobResults(), '{"key": "k", "prediction": [%s]}'),
        (VertexJobResults(), '{"prediction": %s, "key": "k"}'),
    ],
)
def test_a_result_is_a_key_with_an_estimate(results, line):
    assert results.parse(line % "7.5") == ("k", 7.5)
    assert results.parse(line % "null") == ("k", NOT_FINITE)


@pytest.mark.parametrize("results", [CmleJobResults("key"), VertexJobResults()])
@pytest.mark.parametrize("line", ["", "{", "[]", "{}", '{"key": "k"}', '{"prediction": [1.0]}'])
def test_refuses_what_is_no_result(results, line):
    with pytest.raises(EndpointRefused):
        results.parse(line)


class Jobs:
    """A service whose one job goes through these states."""

    def __init__(self, *states: JobState) -> None:
        self._states = iter(states)

    def submit(self, _job: BatchJob) -> str:
        return "j"

    def status(self, job_id: str) -> JobStatus:
        return JobStatus(job_id, next(self._states), 0, 0, 0.0, "", "")

    def cancel(self, _job_id: str) -> None:
        """Go on."""

    def url(self, job_id: str) -> str:
        return f"http://h/{job_id}"


QUICK = Polling(lambda: 0.0, lambda _: None)


@pytest.mark.parametrize("last", [JobState.SUCCEEDED, JobState.PARTIALLY_SUCCEEDED])
def test_waits_until_there_are_results_and_tells_of_the_way(last):
    seen: list[JobStatus] = []
    states = (JobState.PENDING, JobState.RUNNING, last)
    status = wait(Jobs(*states), "j", 60, seen.append, QUICK)
    assert status.state is last
    assert tuple(one.state for one in seen) == states


@pytest.mark.parametrize("last", [JobState.FAILED, JobState.EXPIRED, JobState.CANCELLED])
def test_a_job_that_ends_otherwise_has_failed(last):
    with pytest.raises(JobFailed, match=f"{last}: no reason given"):
        wait(Jobs(JobState.RUNNING, last), "j", 60, polling=QUICK)


def test_waiting_has_an_end():
    times = iter((0.0, 0.0, 5.0))
    jobs = Jobs(*[JobState.RUNNING] * 3)
    with pytest.raises(JobTimedOut, match="job j is RUNNING after 1 s"):
        wait(jobs, "j", 1, polling=Polling(times.__next__, lambda _: None))


def test_a_job_that_cannot_be_followed_is_named():
    client = CmleJobClient(
        PredictionEndpoint("http://127.0.0.1:9", "p"), RetryPolicy(0.001, 0.01, deadline=0.05)
    )
    with pytest.raises(PredictionUnavailable, match="job j cannot be followed: no answer"):
        wait(client, "j", 60)


def test_a_job_has_a_url():
    cmle = CmleJobClient(PredictionEndpoint("http://h", "p"))
    assert cmle.url("j") == "http://h/v1/projects/p/jobs/j"
    vertex = VertexJobClient(VertexModel("http://h/", "p"), None)
    assert vertex.url(VERTEX_NAME) == f"http://h/v1/{VERTEX_NAME}"

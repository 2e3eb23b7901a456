import pytest

from tf_dataflow_serving.inference.batch_job import JobState, JobStatus
from tf_dataflow_serving.inference.errors import EndpointRefused


def test_reads_counts_that_are_strings():
    resource = {
        "jobId": "j",
        "state": "SUCCEEDED",
        "predictionOutput": {"predictionCount": "12", "errorCount": "3", "nodeHours": 0.25},
    }
    status = JobStatus.from_resource(resource)
    assert status == JobStatus("j", JobState.SUCCEEDED, 12, 3, 0.25, "")
    assert status.finished


def test_a_job_that_has_just_begun_has_no_counts():
    status = JobStatus.from_resource({"jobId": "j", "state": "QUEUED"})
    assert (status.predictions, status.errors, status.finished) == (0, 0, False)


@pytest.mark.parametrize(
    "resource",
    [
        {},
        {"jobId": "j", "state": "DANCING"},
        {"jobId": "j", "predictionOutput": {"errorCount": "x"}},
    ],
)
def test_refuses_what_is_no_job(resource):
    with pytest.raises(EndpointRefused, match="not a job"):
        JobStatus.from_resource(resource)

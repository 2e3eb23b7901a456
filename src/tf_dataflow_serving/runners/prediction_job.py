"""The batch prediction job between the two pipelines of batch-predict."""

from tf_dataflow_serving.flags import JOB_TIMEOUT_SECONDS, InferenceType
from tf_dataflow_serving.inference.batch_job import BatchJob, JobClient, JobResults, JobStatus, wait
from tf_dataflow_serving.inference.cmle_job import CmleJobClient, CmleJobResults
from tf_dataflow_serving.inference.vertex_job import VertexJobClient, VertexJobResults
from tf_dataflow_serving.model import KEY, KEYED_SIGNATURE_NAME
from tf_dataflow_serving.options import ServingOptions
from tf_dataflow_serving.pipelines import batch_predict
from tf_dataflow_serving.pipelines.batch import output_directory
from tf_dataflow_serving.runners.handlers import (
    ASKED_ONCE,
    prediction_endpoint,
    require_answer,
    vertex_model,
)


def require_job_model(options: ServingOptions) -> None:
    """Ask for the job's model once, before anything is read.

    Raises the service's own reason: PredictionRejected, PredictionUnavailable.
    """
    if _is_vertex(options):
        # It need not be deployed to be used in a job.
        VertexJobClient(vertex_model(options), KEY, ASKED_ONCE).require_model()
    else:
        require_answer(prediction_endpoint(options))


def run_prediction_job(options: ServingOptions) -> JobStatus:
    """Submit the job over the prepared instances and wait until it has results.

    Raises JobFailed, JobTimedOut, PredictionRejected, PredictionUnavailable.
    """
    directory = output_directory(options)
    client = _client(options)
    job_id = client.submit(
        BatchJob(
            input_paths=[batch_predict.instances_pattern(directory)],
            output_path=batch_predict.job_directory(directory),
        )
    )
    return wait(client, job_id, JOB_TIMEOUT_SECONDS)


def job_results(options: ServingOptions) -> JobResults:
    """Return how the job writes its results."""
    return VertexJobResults() if _is_vertex(options) else CmleJobResults(KEY)


def _client(options: ServingOptions) -> JobClient:
    if _is_vertex(options):
        return VertexJobClient(vertex_model(options), KEY)
    return CmleJobClient(prediction_endpoint(options, KEYED_SIGNATURE_NAME))


def _is_vertex(options: ServingOptions) -> bool:
    return InferenceType(options.inference_type) is InferenceType.VERTEX

"""The batch prediction job between the two pipelines of batch-predict."""

from tf_dataflow_serving.inference.batch_job import BatchJob, BatchJobClient, JobStatus
from tf_dataflow_serving.model import KEYED_SIGNATURE_NAME
from tf_dataflow_serving.options import ServingOptions
from tf_dataflow_serving.pipelines import batch_predict
from tf_dataflow_serving.pipelines.batch import output_directory
from tf_dataflow_serving.runners.handlers import prediction_endpoint

TIMEOUT_SECONDS = 24 * 3600.0


def run_prediction_job(options: ServingOptions) -> JobStatus:
    """Submit the job over the prepared instances and wait until it has succeeded.

    Raises JobFailed, JobTimedOut, PredictionRejected, PredictionUnavailable.
    """
    directory = output_directory(options)
    client = BatchJobClient(prediction_endpoint(options))
    job_id = client.submit(
        BatchJob(
            input_paths=[batch_predict.instances_pattern(directory)],
            output_path=batch_predict.job_directory(directory),
            signature_name=KEYED_SIGNATURE_NAME,
        )
    )
    return client.wait(job_id, TIMEOUT_SECONDS)

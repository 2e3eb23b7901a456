"""From options to the model handler that they mean.

The local one is imported where it is meant: it brings TensorFlow, 2 s and 450 MB that the others
do without.
"""

from apache_beam.ml.inference.base import ModelHandler
from apache_beam.options.pipeline_options import GoogleCloudOptions

from tf_dataflow_serving.errors import UsageError
from tf_dataflow_serving.flags import InferenceType
from tf_dataflow_serving.inference.endpoint import PUBLIC_URL, PredictionEndpoint
from tf_dataflow_serving.inference.remote import CmleModelHandler, estimate_cmle
from tf_dataflow_serving.inference.retry import RetryPolicy
from tf_dataflow_serving.natality.instance import SAMPLE
from tf_dataflow_serving.options import ServingOptions

_ASKED_ONCE = RetryPolicy(deadline=10)


def model_handler(options: ServingOptions) -> ModelHandler:
    """Return the handler for the options' inference type."""
    inference_type = InferenceType(options.inference_type)
    if inference_type is InferenceType.LOCAL:
        from tf_dataflow_serving.inference.local import LocalModelHandler  # noqa: PLC0415

        return LocalModelHandler(options.model_dir, batch_size=options.batch_size)
    if inference_type is InferenceType.CMLE:
        return CmleModelHandler(prediction_endpoint(options), batch_size=options.batch_size)
    raise UsageError(f"no model is called in a pipeline with --inference_type {inference_type}")


def require_model(options: ServingOptions) -> None:
    """Ask the model once, before anything is read.

    Raises the model's or the service's own reason: ModelNotFound, ContractMismatch,
    PredictionRejected, PredictionUnavailable. A local model stays loaded: Beam would load it
    with the first bundle of a stream, whose messages would wait for seconds.
    """
    if InferenceType(options.inference_type) is InferenceType.LOCAL:
        from tf_dataflow_serving.inference.local import estimate_local  # noqa: PLC0415

        estimate_local([SAMPLE], options.model_dir)
    else:
        estimate_cmle([SAMPLE], prediction_endpoint(options), _ASKED_ONCE)


def prediction_endpoint(
    options: ServingOptions, signature_name: str | None = None
) -> PredictionEndpoint:
    """Return the deployed model that the options name."""
    return PredictionEndpoint(
        url=options.prediction_url or PUBLIC_URL,
        project=options.view_as(GoogleCloudOptions).project,
        model=options.model_name,
        version=options.model_version,
        signature_name=signature_name,
    )

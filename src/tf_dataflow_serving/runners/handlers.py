"""From options to the model handler that they mean.

The local one is imported where it is meant: it brings TensorFlow, 2 s and 450 MB that the others
do without.
"""

from apache_beam.ml.inference.base import ModelHandler
from apache_beam.options.pipeline_options import GoogleCloudOptions

from tf_dataflow_serving.errors import UsageError
from tf_dataflow_serving.flags import DEFAULT_LOCATION, InferenceType
from tf_dataflow_serving.inference.endpoint import (
    PUBLIC_URL,
    Endpoint,
    PredictionEndpoint,
    VertexEndpoint,
    VertexModel,
    vertex_url,
)
from tf_dataflow_serving.inference.errors import PredictionUnavailable
from tf_dataflow_serving.inference.failures import OverQuota
from tf_dataflow_serving.inference.remote import OnlineModelHandler, estimate_online
from tf_dataflow_serving.inference.retry import RetryPolicy
from tf_dataflow_serving.natality.instance import SAMPLE
from tf_dataflow_serving.options import ServingOptions

ASKED_ONCE = RetryPolicy(deadline=10)
"""How long to go on before anything is read."""


def model_handler(options: ServingOptions) -> ModelHandler:
    """Return the handler for the options' inference type."""
    if InferenceType(options.inference_type) is InferenceType.LOCAL:
        from tf_dataflow_serving.inference.local import LocalModelHandler  # noqa: PLC0415

        return LocalModelHandler(options.model_dir, batch_size=options.batch_size)
    return OnlineModelHandler(online_endpoint(options), batch_size=options.batch_size)


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
        require_answer(online_endpoint(options))


def require_answer(endpoint: Endpoint) -> None:
    """Ask an online model once; raises PredictionRejected, PredictionUnavailable.

    A service whose quota is used up is there: a pipeline waits for longer than this does.
    """
    try:
        estimate_online([SAMPLE], endpoint, ASKED_ONCE)
    except PredictionUnavailable as error:
        if not isinstance(error.__cause__, OverQuota):
            raise


def online_endpoint(options: ServingOptions) -> Endpoint:
    """Return the endpoint of the options' inference type; raises UsageError if it has none."""
    inference_type = InferenceType(options.inference_type)
    if inference_type is InferenceType.CMLE:
        return prediction_endpoint(options)
    if inference_type is InferenceType.VERTEX:
        return vertex_endpoint(options)
    raise UsageError(f"no model is called in a pipeline with --inference_type {inference_type}")


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


def vertex_endpoint(options: ServingOptions) -> VertexEndpoint:
    """Return the Vertex AI endpoint that the options name."""
    project = options.view_as(GoogleCloudOptions).project
    return VertexEndpoint.named(
        options.endpoint, project, _location(options), options.prediction_url
    )


def vertex_model(options: ServingOptions) -> VertexModel:
    """Return the model in Vertex AI's registry that the options name."""
    location = _location(options)
    return VertexModel(
        url=options.prediction_url or vertex_url(location),
        project=options.view_as(GoogleCloudOptions).project,
        location=location,
        model=options.model_name,
        version=options.model_version,
    )


def _location(options: ServingOptions) -> str:
    return options.view_as(GoogleCloudOptions).region or DEFAULT_LOCATION

"""Makes what an experiment reads and writes, where a run on local services lacks it."""

from collections.abc import Iterator
from contextlib import contextmanager

from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions
from google.api_core.exceptions import AlreadyExists, Conflict, GoogleAPICallError, NotFound
from google.cloud import bigquery, pubsub_v1, storage

from tf_dataflow_serving.errors import UserError
from tf_dataflow_serving.flags import Experiment
from tf_dataflow_serving.natality.schema import ERROR_SCHEMA, PREDICTION_SCHEMA, Field
from tf_dataflow_serving.options import ServingOptions
from tf_dataflow_serving.pipelines.dead_letter import TABLE_SUFFIX
from tf_dataflow_serving.resource_names import subscription_path, topic_path


class SubscriptionMissing(UserError):
    """A stream's subscription does not exist, and no topic to make it for was named."""


class ProvisionFailed(UserError):
    """A service refuses to make what an experiment needs."""


@contextmanager
def _refusals_named() -> Iterator[None]:
    """Turn a service's refusal, such as of a malformed name, into its one line."""
    try:
        yield
    except GoogleAPICallError as error:
        raise ProvisionFailed(error.message) from error
    except ValueError as error:
        raise ProvisionFailed(str(error)) from error


@_refusals_named()
def provision(options: PipelineOptions) -> None:
    """Create the output's bucket or dataset and tables, and the stream's topic or subscription."""
    serving = options.view_as(ServingOptions)
    project = options.view_as(GoogleCloudOptions).project
    if Experiment(serving.experiment_type).is_streaming:
        ensure_tables(project, serving.output_table)
        _ensure_input(project, serving)
    elif serving.output.startswith("gs://"):
        ensure_bucket(project, serving.output)


@_refusals_named()
def ensure_bucket(project: str, url: str) -> None:
    """Create the bucket of a gs:// URL unless it is there."""
    name = url.removeprefix("gs://").partition("/")[0]
    client = storage.Client(project=project)
    try:
        client.create_bucket(name)
    except Conflict:
        return


@_refusals_named()
def ensure_tables(project: str, output_table: str) -> None:
    """Create the table of estimates, that of dead letters, and their dataset."""
    client = bigquery.Client(project=project)
    for name, schema in (
        (output_table, PREDICTION_SCHEMA),
        (output_table + TABLE_SUFFIX, ERROR_SCHEMA),
    ):
        _ensure_table(client, name.replace(":", "."), schema)


def _ensure_table(client: bigquery.Client, name: str, schema: list[Field]) -> None:
    reference = bigquery.TableReference.from_string(name, default_project=client.project)
    client.create_dataset(reference.dataset_id, exists_ok=True)
    fields = [bigquery.SchemaField.from_api_repr(field) for field in schema]
    client.create_table(bigquery.Table(reference, fields), exists_ok=True)


@_refusals_named()
def ensure_topic(project: str, topic: str) -> str:
    """Create a topic unless it is there; returns its full name."""
    path = topic_path(project, topic)
    try:
        pubsub_v1.PublisherClient().create_topic(name=path)
    except AlreadyExists:
        return path
    return path


@_refusals_named()
def ensure_subscription(project: str, subscription: str, topic: str | None) -> str:
    """Create a subscription to the topic unless it is there; returns its full name.

    Raises SubscriptionMissing if it is not there and no topic is named.
    """
    path = subscription_path(project, subscription)
    with pubsub_v1.SubscriberClient() as client:
        try:
            client.get_subscription(subscription=path)
        except NotFound:
            if topic is None:
                raise SubscriptionMissing(
                    f"{path} does not exist; name its topic with --input_topic to have it made"
                ) from None
            client.create_subscription(name=path, topic=ensure_topic(project, topic))
    return path


def _ensure_input(project: str, serving: ServingOptions) -> None:
    if serving.input_topic:
        ensure_topic(project, serving.input_topic)
    if serving.input_subscription:
        ensure_subscription(project, serving.input_subscription, serving.input_topic)

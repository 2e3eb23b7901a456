"""`dataflow-serving deploy`: a SavedModel onto a prediction service."""

import argparse
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from tf_dataflow_serving.cli.arguments import Commands, add_command
from tf_dataflow_serving.cli.service_arguments import ServiceChoice, add_service_arguments
from tf_dataflow_serving.deployment.vertex_place import (
    DEFAULT_LOCATION,
    DEFAULT_MACHINE_TYPE,
    Serving,
    VertexPlace,
    endpoint_id,
)
from tf_dataflow_serving.errors import UsageError
from tf_dataflow_serving.flags import DEFAULT_MODEL_NAME, Services
from tf_dataflow_serving.services.endpoints import VARIABLES

if TYPE_CHECKING:
    from tf_dataflow_serving.deployment.cmle import CmleDeployer
    from tf_dataflow_serving.deployment.vertex import VertexDeployer


REQUEST_TIMEOUT_SECONDS = 60.0


class Protocol(StrEnum):
    """Which API of a prediction service is used."""

    CMLE = "cmle"
    VERTEX = "vertex"


def register(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "deploy",
        _deploy,
        "deploy a SavedModel to a prediction service",
        epilog="Then: dataflow-serving run --inference_type cmle --model_name M --model_version V, "
        "or --inference_type vertex --endpoint E",
    )
    parser.add_argument(
        "--model_dir",
        required=True,
        help="the SavedModel: a directory, which is copied to gs://, or gs://BUCKET/PATH",
    )
    parser.add_argument(
        "--model_name",
        default=DEFAULT_MODEL_NAME,
        help="the model, which is created if need be (default: %(default)s)",
    )
    parser.add_argument(
        "--model_version", required=True, help="a version that the model does not have yet: v2"
    )
    parser.add_argument(
        "--staging_location",
        metavar="gs://BUCKET/PATH",
        help="where a local model is copied to (default: gs://PROJECT-models on local services)",
    )
    add_protocol_arguments(parser)
    parser.add_argument(
        "--endpoint", help="vertex: the endpoint's id (default: the model's name, with - for _)"
    )
    parser.add_argument(
        "--machine_type",
        default=DEFAULT_MACHINE_TYPE,
        help="vertex: of the machines that serve (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def add_protocol_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say which API is used, and where it is."""
    parser.add_argument(
        "--protocol",
        choices=[str(protocol) for protocol in Protocol],
        default=str(Protocol.CMLE),
        help="cmle: Cloud ML Engine v1, which only local services still have; vertex: Vertex AI "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--region", default=DEFAULT_LOCATION, help="vertex: the location (default: %(default)s)"
    )
    add_service_arguments(parser, *Services)
    parser.add_argument("--project", help="Google Cloud project (default: that of the services)")
    parser.add_argument(
        "--prediction_url", help="URL of the prediction service (default: that of the services)"
    )


def prediction_url(arguments: argparse.Namespace) -> str:
    """Return the URL of the service, with the environment of the services in force.

    Raises UsageError where there is none.
    """
    url = arguments.prediction_url or os.environ.get(VARIABLES["prediction"])
    if url:
        return str(url)
    if arguments.services != Services.GCP:
        raise UsageError(f"no prediction service: --prediction_url, or {VARIABLES['prediction']}")
    if arguments.protocol == Protocol.CMLE:
        raise UsageError("Cloud ML Engine ended on 2025-01-31: use --protocol vertex")
    return f"https://{arguments.region}-aiplatform.googleapis.com"


def _deploy(arguments: argparse.Namespace) -> int:
    from tf_dataflow_serving.cli.session import activated

    with activated(ServiceChoice.from_arguments(arguments)) as project:
        name = _deployed(arguments, project)
    if arguments.json:
        sys.stdout.write(orjson.dumps({"deployed": name}).decode() + "\n")
    else:
        sys.stdout.write(f"deployed {name}\n")
    return 0


def _deployed(arguments: argparse.Namespace, project: str) -> str:
    deployer = _deployer(arguments, project)
    deployer.require_new(arguments.model_version)
    return deployer.deploy(arguments.model_version, _staged(arguments, project))


def _deployer(arguments: argparse.Namespace, project: str) -> "CmleDeployer | VertexDeployer":
    from tf_dataflow_serving.deployment.cmle import CmleDeployer
    from tf_dataflow_serving.deployment.operations import Api
    from tf_dataflow_serving.deployment.vertex import VertexDeployer
    from tf_dataflow_serving.inference.retry import RetryPolicy
    from tf_dataflow_serving.inference.transport import Transport

    model = arguments.model_name
    api = Api(Transport(prediction_url(arguments), REQUEST_TIMEOUT_SECONDS, RetryPolicy()))
    if arguments.protocol == Protocol.CMLE:
        return CmleDeployer(api, project, model, _tell)
    endpoint = arguments.endpoint or endpoint_id(model)
    place = VertexPlace(project, arguments.region, model, endpoint)
    return VertexDeployer(api, place, Serving(machine_type=arguments.machine_type), _tell)


def _staged(arguments: argparse.Namespace, project: str) -> str:
    """Return the gs:// URI of the model, copied there if it is a directory."""
    if arguments.model_dir.startswith("gs://"):
        return str(arguments.model_dir)
    from google.cloud import storage

    from tf_dataflow_serving.deployment.staging import stage

    base = _staging_location(arguments, project).rstrip("/")
    uri = f"{base}/{arguments.model_name}/{arguments.model_version}"
    _tell(f"copying {arguments.model_dir} to {uri}")
    stage(storage.Client(project=project), Path(arguments.model_dir), uri)
    return uri


def _staging_location(arguments: argparse.Namespace, project: str) -> str:
    given = arguments.staging_location
    if given is None and arguments.services == Services.GCP:
        raise UsageError("a model in a directory needs --staging_location gs://BUCKET/PATH")
    if given is not None and not given.startswith("gs://"):
        raise UsageError(f"--staging_location {given} is not of the form gs://BUCKET/PATH")
    return given or f"gs://{project}-models"


def _tell(step: str) -> None:
    sys.stderr.write(f"{step}\n")

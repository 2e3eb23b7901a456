"""`dataflow-serving deploy`: a SavedModel onto a prediction service."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from tf_dataflow_serving.cli.arguments import Commands, add_command
from tf_dataflow_serving.cli.prediction_arguments import (
    Protocol,
    add_protocol_arguments,
    prediction_url,
)
from tf_dataflow_serving.cli.service_arguments import ServiceChoice
from tf_dataflow_serving.deployment.serving import (
    DEFAULT_MACHINE_TYPE,
    Serving,
    endpoint_id,
)
from tf_dataflow_serving.errors import UsageError
from tf_dataflow_serving.flags import DEFAULT_MODEL_NAME, Services

if TYPE_CHECKING:
    from tf_dataflow_serving.deployment.cmle import CmleDeployer
    from tf_dataflow_serving.deployment.vertex import VertexDeployer


REQUEST_TIMEOUT_SECONDS = 60.0


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
    from tf_dataflow_serving.inference.endpoint import VertexEndpoint, VertexModel
    from tf_dataflow_serving.inference.retry import RetryPolicy
    from tf_dataflow_serving.inference.transport import Transport

    url, name = prediction_url(arguments), arguments.model_name
    api = Api(Transport(url, REQUEST_TIMEOUT_SECONDS, RetryPolicy()))
    if arguments.protocol == Protocol.CMLE:
        return CmleDeployer(api, project, name, _tell)
    model = VertexModel(url, project, arguments.region, name, version=None)
    endpoint = VertexEndpoint(
        url, project, arguments.region, arguments.endpoint or endpoint_id(name)
    )
    serving = Serving(machine_type=arguments.machine_type)
    return VertexDeployer(api, model, endpoint, serving, _tell)


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

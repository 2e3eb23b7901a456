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
    location,
    prediction_url,
    refuse_strays,
)
from tf_dataflow_serving.cli.service_arguments import ServiceChoice
from tf_dataflow_serving.errors import UsageError
from tf_dataflow_serving.flags import (
    DEFAULT_MACHINE_TYPE,
    DEFAULT_MODEL_NAME,
    Services,
    bucket_path,
    directory,
    endpoint_id,
)

if TYPE_CHECKING:
    from tf_dataflow_serving.deployment.cmle import CmleDeployer
    from tf_dataflow_serving.deployment.operations import Api
    from tf_dataflow_serving.deployment.vertex import VertexDeployer

REQUEST_TIMEOUT_SECONDS = 60.0
_FLAGS = {Protocol.VERTEX: ["endpoint", "machine_type", "region"]}


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
        type=directory,
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
        type=bucket_path,
        metavar="gs://BUCKET/PATH",
        help="where a local model is copied to (default: gs://PROJECT-models on local services)",
    )
    add_protocol_arguments(parser, region="vertex: the location")
    parser.add_argument(
        "--endpoint", help="vertex: the endpoint's id (default: the model's name, with - for _)"
    )
    parser.add_argument(
        "--machine_type",
        help=f"vertex: of the machines that serve (default: {DEFAULT_MACHINE_TYPE})",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def _deploy(arguments: argparse.Namespace) -> int:
    refuse_strays(arguments, _FLAGS)
    _check_model(arguments)
    from tf_dataflow_serving.cli.session import activated

    with activated(ServiceChoice.from_arguments(arguments)) as project:
        name = _deployed(arguments, project)
    if arguments.json:
        sys.stdout.write(orjson.dumps({"deployed": name}).decode() + "\n")
    else:
        sys.stdout.write(f"deployed {name}\n")
    return 0


def _check_model(arguments: argparse.Namespace) -> None:
    """Raise UsageError or DeploymentFailed for a local model that cannot be copied."""
    if _is_staged(arguments):
        return
    from tf_dataflow_serving.deployment.staging import model_files

    model_files(Path(arguments.model_dir))
    if arguments.staging_location is None and arguments.services == Services.GCP:
        raise UsageError("a model in a directory needs --staging_location gs://BUCKET/PATH")


def _deployed(arguments: argparse.Namespace, project: str) -> str:
    uri = _uri(arguments, project)
    deployer = _deployer(arguments, project, uri)
    deployer.require_new()
    if not _is_staged(arguments):
        from tf_dataflow_serving.deployment.staging import stage

        _tell(f"copying {arguments.model_dir} to {uri}")
        stage(project, Path(arguments.model_dir), uri)
    return deployer.deploy()


def _is_staged(arguments: argparse.Namespace) -> bool:
    return bool(arguments.model_dir.startswith("gs://"))


def _uri(arguments: argparse.Namespace, project: str) -> str:
    """Return where the service reads the model: none of another protocol, model or version."""
    if _is_staged(arguments):
        return str(arguments.model_dir)
    base = (arguments.staging_location or f"gs://{project}-models").rstrip("/")
    return f"{base}/{arguments.protocol}/{arguments.model_name}/{arguments.model_version}"


def _deployer(
    arguments: argparse.Namespace, project: str, uri: str
) -> "CmleDeployer | VertexDeployer":
    if arguments.protocol == Protocol.CMLE:
        return _cmle_deployer(arguments, project, uri)
    return _vertex_deployer(arguments, project, uri)


def _cmle_deployer(arguments: argparse.Namespace, project: str, uri: str) -> "CmleDeployer":
    from tf_dataflow_serving.deployment.cmle import CmleDeployer
    from tf_dataflow_serving.inference.endpoint import PredictionEndpoint

    endpoint = PredictionEndpoint(
        prediction_url(arguments), project, arguments.model_name, arguments.model_version
    )
    return CmleDeployer(_api(endpoint.url), endpoint, uri, _tell)


def _vertex_deployer(arguments: argparse.Namespace, project: str, uri: str) -> "VertexDeployer":
    from tf_dataflow_serving.deployment.serving import Serving
    from tf_dataflow_serving.deployment.vertex import VertexDeployer
    from tf_dataflow_serving.inference.endpoint import VertexEndpoint, VertexModel

    url, place, name = prediction_url(arguments), location(arguments), arguments.model_name
    if arguments.model_version.isdecimal():
        raise UsageError(
            "Vertex AI numbers versions itself: give --model_version a name, such as v2"
        )
    model = VertexModel(url, project, place, name, arguments.model_version)
    endpoint = VertexEndpoint(url, project, place, arguments.endpoint or endpoint_id(name))
    serving = Serving(uri, machine_type=arguments.machine_type or DEFAULT_MACHINE_TYPE)
    return VertexDeployer(_api(url), model, endpoint, serving, _tell)


def _api(url: str) -> "Api":
    from tf_dataflow_serving.deployment.operations import Api
    from tf_dataflow_serving.inference.retry import RetryPolicy
    from tf_dataflow_serving.inference.transport import Transport

    return Api(Transport(url, REQUEST_TIMEOUT_SECONDS, RetryPolicy()))


def _tell(step: str) -> None:
    sys.stderr.write(f"{step}\n")

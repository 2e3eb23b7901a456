"""The flags that choose a prediction service, and the API that it is spoken to by."""

import argparse
import os
from enum import StrEnum

from tf_dataflow_serving.cli.service_arguments import add_service_arguments
from tf_dataflow_serving.errors import UsageError
from tf_dataflow_serving.flags import Services
from tf_dataflow_serving.inference.endpoint import DEFAULT_LOCATION, require_url, vertex_url
from tf_dataflow_serving.services.endpoints import VARIABLES


class Protocol(StrEnum):
    """Which API of a prediction service is used."""

    CMLE = "cmle"
    VERTEX = "vertex"


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
        require_url(url)
        return str(url)
    if arguments.services != Services.GCP:
        raise UsageError(f"no prediction service: --prediction_url, or {VARIABLES['prediction']}")
    if arguments.protocol == Protocol.CMLE:
        raise UsageError("Cloud ML Engine ended on 2025-01-31: use --protocol vertex")
    return vertex_url(arguments.region)

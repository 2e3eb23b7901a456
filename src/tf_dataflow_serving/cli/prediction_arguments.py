"""The flags that choose a prediction service, and the API that it is spoken to by."""

import argparse
import os
from collections.abc import Mapping, Sequence
from enum import StrEnum

from tf_dataflow_serving.cli.service_arguments import add_service_arguments
from tf_dataflow_serving.errors import UsageError
from tf_dataflow_serving.flags import DEFAULT_LOCATION, Services
from tf_dataflow_serving.inference.endpoint import require_url, vertex_url
from tf_dataflow_serving.services.endpoints import VARIABLES


class Protocol(StrEnum):
    """Which API of a prediction service is used."""

    CMLE = "cmle"
    VERTEX = "vertex"


def add_protocol_arguments(parser: argparse.ArgumentParser, region: str) -> None:
    """Add the flags that say which API is used, and where it is; `region` is what that is for."""
    parser.add_argument(
        "--protocol",
        choices=[str(protocol) for protocol in Protocol],
        default=str(Protocol.CMLE),
        help="cmle: Cloud ML Engine v1, which only local services still have; vertex: Vertex AI "
        "(default: %(default)s)",
    )
    parser.add_argument("--region", help=f"{region} (default: {DEFAULT_LOCATION})")
    add_service_arguments(parser, *Services)
    parser.add_argument("--project", help="Google Cloud project (default: that of the services)")
    parser.add_argument(
        "--prediction_url", help="URL of the prediction service (default: that of the services)"
    )


def refuse_strays(arguments: argparse.Namespace, flags: Mapping[Protocol, Sequence[str]]) -> None:
    """Raise UsageError for flags that only the other protocol has; `flags` are those of each."""
    for protocol, names in flags.items():
        for name in names:
            if vars(arguments)[name] is not None and arguments.protocol != protocol:
                raise UsageError(f"--{name} is for --protocol {protocol}")


def location(arguments: argparse.Namespace) -> str:
    """Return the location of the service."""
    return arguments.region or DEFAULT_LOCATION


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
    return vertex_url(location(arguments))

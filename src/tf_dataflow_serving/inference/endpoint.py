"""Where a prediction service is, and which of its models is meant."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from tf_dataflow_serving.errors import UsageError, UserError
from tf_dataflow_serving.flags import (
    DEFAULT_ENDPOINT,
    DEFAULT_LOCATION,
    DEFAULT_MODEL_NAME,
    DEFAULT_MODEL_VERSION,
)

PUBLIC_URL = "https://ml.googleapis.com"

# A name, or an address of IPv4 or IPv6.
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?|[0-9a-f:.]+")
# GoogleCloudMlV1__Model.name and GoogleCloudMlV1__Version.name, ml v1.
_CMLE_NAME = re.compile(r"[a-zA-Z]\w{0,127}", re.ASCII)
# UploadModelRequest.model_id, and the number that a model has without one; aiplatform v1.
_MODEL_ID = re.compile(r"[a-z_][a-z0-9_-]{0,62}|[0-9]+")
# Model.version_id and Model.version_aliases, aiplatform v1.
_MODEL_VERSION = re.compile(r"[a-z][a-zA-Z0-9-]{0,126}[a-z0-9]|[0-9]+")
_PROJECT = re.compile(r"[\w.:-]+", re.ASCII)
_LOCATION = re.compile(r"[a-z][a-z0-9-]*")
# CreateEndpointRequest.endpoint_id of Vertex AI's API, v1.
_ENDPOINT_ID = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?|[0-9]+")
_ENDPOINT_NAME = re.compile(r"projects/([^/]+)/locations/([^/]+)/endpoints/([^/]+)")


@dataclass(frozen=True)
class PredictionEndpoint:
    """A model's version on a Cloud ML Engine v1 service.

    `url` is http(s)://HOST[:PORT]; without a version the model's default one predicts.
    `timeout` is that of one request, in seconds (online prediction takes 60 s at most).
    """

    url: str
    project: str
    model: str = DEFAULT_MODEL_NAME
    version: str | None = DEFAULT_MODEL_VERSION
    signature_name: str | None = None
    timeout: float = 60.0

    def __post_init__(self) -> None:
        require_url(self.url)
        _require_project(self.project)
        for kind, name in (("model", self.model), ("version", self.version)):
            if name is not None and not _CMLE_NAME.fullmatch(name):
                raise UsageError(
                    f"not a Cloud ML Engine {kind}: {name!r}; its name has up to 128 letters, "
                    "digits and underscores, the first a letter"
                )

    @property
    def resource(self) -> str:
        """The resource name of the version, or of the model if no version is meant."""
        model = f"projects/{self.project}/models/{self.model}"
        return f"{model}/versions/{self.version}" if self.version else model

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Return the endpoint of the default model on the services that the environment names.

        That is PREDICTION_EMULATOR_HOST, else Google's; the project is GOOGLE_CLOUD_PROJECT.
        """
        project = _project(environment)
        return cls(environment.get("PREDICTION_EMULATOR_HOST") or PUBLIC_URL, project)


@dataclass(frozen=True)
class VertexEndpoint:
    """An endpoint of Vertex AI v1, whose traffic split says which models predict.

    `url` is http(s)://HOST[:PORT]. `timeout` is that of one request, in seconds (online
    prediction takes 60 s at most).
    """

    url: str
    project: str
    location: str = DEFAULT_LOCATION
    endpoint: str = DEFAULT_ENDPOINT
    timeout: float = 60.0

    def __post_init__(self) -> None:
        require_url(self.url)
        _require_project(self.project)
        _require_location(self.location)
        if not _ENDPOINT_ID.fullmatch(self.endpoint):
            raise UsageError(
                f"not a Vertex AI endpoint: {self.endpoint!r}; give its number, or its id of up to "
                "63 small letters, digits and hyphens, or projects/P/locations/L/endpoints/E"
            )

    @property
    def resource(self) -> str:
        """The resource name of the endpoint."""
        return f"projects/{self.project}/locations/{self.location}/endpoints/{self.endpoint}"

    @classmethod
    def named(cls, name: str, project: str, location: str, url: str | None = None) -> Self:
        """Return the endpoint of an id, or of a resource name, whose own project and place count.

        Without a URL it is Google's of that place.
        """
        full = _ENDPOINT_NAME.fullmatch(name)
        project, location, endpoint = full.groups() if full else (project, location, name)
        return cls(url or vertex_url(location), project, location, endpoint)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Return the endpoint of the default model on the services that the environment names.

        That is PREDICTION_EMULATOR_HOST, else Google's; the project is GOOGLE_CLOUD_PROJECT.
        """
        url = environment.get("PREDICTION_EMULATOR_HOST")
        return cls.named(DEFAULT_ENDPOINT, _project(environment), DEFAULT_LOCATION, url)


@dataclass(frozen=True)
class VertexModel:
    """A model in Vertex AI's registry, or one version of it, by number or alias.

    `url` is http(s)://HOST[:PORT], `timeout` that of one request, in seconds.
    """

    url: str
    project: str
    location: str = DEFAULT_LOCATION
    model: str = DEFAULT_MODEL_NAME
    version: str | None = DEFAULT_MODEL_VERSION
    timeout: float = 60.0

    def __post_init__(self) -> None:
        require_url(self.url)
        _require_project(self.project)
        _require_location(self.location)
        if not _MODEL_ID.fullmatch(self.model):
            raise UsageError(
                f"not a Vertex AI model: {self.model!r}; give its number, or its id of up to 63 "
                "small letters, digits, hyphens and underscores"
            )
        if self.version is not None and not _MODEL_VERSION.fullmatch(self.version):
            raise UsageError(
                f"not a version of a Vertex AI model: {self.version!r}; give its number, or an "
                "alias of 2 to 128 letters, digits and hyphens, the first a small letter"
            )

    @property
    def parent(self) -> str:
        """The resource name of the location."""
        return f"projects/{self.project}/locations/{self.location}"

    @property
    def resource(self) -> str:
        """The resource name of the version, or of the model if no version is meant."""
        model = f"{self.parent}/models/{self.model}"
        return f"{model}@{self.version}" if self.version else model


Endpoint = PredictionEndpoint | VertexEndpoint
"""What predicts online."""


def vertex_url(location: str) -> str:
    """Return the URL of Google's Vertex AI in a place; raises UsageError for what is none."""
    _require_location(location)
    return f"https://{location}-aiplatform.googleapis.com"


def require_url(url: str) -> None:
    """Raise UsageError for what is no URL of a service."""
    if not (url.isprintable() and _has_host(url)):
        raise UsageError(f"not the URL of a prediction service: {url!r}; one is http://HOST:PORT")


def _has_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
        is_port = parts.port != 0
    except ValueError:
        return False
    is_host = _HOST.fullmatch(parts.hostname or "") is not None
    return parts.scheme in ("http", "https") and is_host and is_port


def _require_project(project: str) -> None:
    if not _PROJECT.fullmatch(project):
        raise UsageError(f"not a Google Cloud project: {project!r}; give its id or its number")


def _require_location(location: str) -> None:
    if not _LOCATION.fullmatch(location):
        raise UsageError(f"not a location of Vertex AI: {location!r}; one is {DEFAULT_LOCATION}")


def _project(environment: Mapping[str, str]) -> str:
    project = environment.get("GOOGLE_CLOUD_PROJECT")
    if not project:
        raise UserError("no project: set GOOGLE_CLOUD_PROJECT")
    return project

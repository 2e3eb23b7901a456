"""Where a prediction service is, and which of its models is meant."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from tf_dataflow_serving.errors import UserError
from tf_dataflow_serving.flags import DEFAULT_ENDPOINT, DEFAULT_MODEL_NAME, DEFAULT_MODEL_VERSION

PUBLIC_URL = "https://ml.googleapis.com"
DEFAULT_LOCATION = "us-central1"

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
        _require_location(self.location)
        if not _ENDPOINT_ID.fullmatch(self.endpoint):
            raise UserError(
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
        _require_location(self.location)

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
    """Return the URL of Google's Vertex AI in a place; raises UserError for what is none."""
    _require_location(location)
    return f"https://{location}-aiplatform.googleapis.com"


def require_url(url: str) -> None:
    """Raise UserError for what is no URL of a service."""
    if not url.startswith(("http://", "https://")):
        raise UserError(f"not the URL of a prediction service: {url!r}")


def _require_location(location: str) -> None:
    if not _LOCATION.fullmatch(location):
        raise UserError(f"not a location of Vertex AI: {location!r}; one is us-central1")


def _project(environment: Mapping[str, str]) -> str:
    project = environment.get("GOOGLE_CLOUD_PROJECT")
    if not project:
        raise UserError("no project: set GOOGLE_CLOUD_PROJECT")
    return project

"""Where a prediction service is, and which of its models is meant."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from tf_dataflow_serving.errors import UserError
from tf_dataflow_serving.flags import DEFAULT_MODEL_NAME, DEFAULT_MODEL_VERSION

PUBLIC_URL = "https://ml.googleapis.com"


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
        if not self.url.startswith(("http://", "https://")):
            raise UserError(f"not the URL of a prediction service: {self.url!r}")

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
        project = environment.get("GOOGLE_CLOUD_PROJECT")
        if not project:
            raise UserError("no project: set GOOGLE_CLOUD_PROJECT")
        return cls(environment.get("PREDICTION_EMULATOR_HOST") or PUBLIC_URL, project)

"""Which resources of Vertex AI a deployment makes, and what serves the model there."""

from dataclasses import dataclass

DEFAULT_LOCATION = "us-central1"
DEFAULT_IMAGE = "us-docker.pkg.dev/vertex-ai/prediction/tf2-cpu.2-15:latest"
"""The newest container for TensorFlow (Vertex AI, "Prebuilt containers for inference")."""
DEFAULT_MACHINE_TYPE = "n1-standard-2"


@dataclass(frozen=True)
class VertexPlace:
    """A model and an endpoint, by their ids, in a location of a project."""

    project: str
    location: str
    model: str
    endpoint: str

    @property
    def parent(self) -> str:
        """The resource name of the location."""
        return f"projects/{self.project}/locations/{self.location}"


@dataclass(frozen=True)
class Serving:
    """The container and the machine that serve a model."""

    image: str = DEFAULT_IMAGE
    machine_type: str = DEFAULT_MACHINE_TYPE


def endpoint_id(model: str) -> str:
    """Return the id of the endpoint that is a model's own: `_` is not allowed there."""
    return model.lower().replace("_", "-")

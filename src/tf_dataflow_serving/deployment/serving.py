"""What Vertex AI serves a model with."""

from dataclasses import dataclass

DEFAULT_IMAGE = "us-docker.pkg.dev/vertex-ai/prediction/tf2-cpu.2-15:latest"
"""The newest container for TensorFlow (Vertex AI, "Prebuilt containers for inference")."""
DEFAULT_MACHINE_TYPE = "n1-standard-2"


@dataclass(frozen=True)
class Serving:
    """The container and the machine that serve a model."""

    image: str = DEFAULT_IMAGE
    machine_type: str = DEFAULT_MACHINE_TYPE


def endpoint_id(model: str) -> str:
    """Return the id of the endpoint that is a model's own: `_` is not allowed there."""
    return model.lower().replace("_", "-")

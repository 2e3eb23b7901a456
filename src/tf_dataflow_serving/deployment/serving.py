"""What Vertex AI serves a model with."""

from dataclasses import dataclass

from tf_dataflow_serving.flags import DEFAULT_MACHINE_TYPE

DEFAULT_IMAGE = "us-docker.pkg.dev/vertex-ai/prediction/tf2-cpu.2-15:latest"
"""The newest container for TensorFlow (Vertex AI, "Prebuilt containers for inference")."""


@dataclass(frozen=True)
class Serving:
    """The gs:// URI of a SavedModel, and the container and the machine that serve it."""

    uri: str
    image: str = DEFAULT_IMAGE
    machine_type: str = DEFAULT_MACHINE_TYPE

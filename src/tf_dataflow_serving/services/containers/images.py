"""Which images the containers are made of, and that they are there."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from tf_dataflow_serving.errors import UserError
from tf_dataflow_serving.services.containers.engine import Engine

_PREFIX = "DATAFLOW_SERVING_"
_MEGABYTE = 1_000_000


class ImageMissing(UserError):
    """An image is not on this machine and cannot be fetched."""


@dataclass(frozen=True)
class Images:
    """The image of each service, with its tag."""

    pubsub: str = "gcr.io/google.com/cloudsdktool/google-cloud-cli:emulators"
    bigquery: str = "ghcr.io/goccy/bigquery-emulator:0.8.1"
    storage: str = "fsouza/fake-gcs-server:1.56.1"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Images":
        """Return the defaults, but for those that DATAFLOW_SERVING_PUBSUB_IMAGE etc. name."""
        named = {field: environment.get(variable(field)) for field in asdict(cls())}
        return replace(cls(), **{field: image for field, image in named.items() if image})

    def all(self) -> Iterable[str]:
        """Return the images."""
        return asdict(self).values()


def variable(field: str) -> str:
    """Return the environment variable that names the image of a service."""
    return f"{_PREFIX}{field.upper()}_IMAGE"


def require_images(engine: Engine, images: Iterable[str], note: Callable[[str], None]) -> None:
    """Fetch what is not there; raises ImageMissing. `note` is told what is going on."""
    for image in images:
        if not engine.has_image(image):
            _fetch(engine, image, note)


def _fetch(engine: Engine, image: str, note: Callable[[str], None]) -> None:
    note(f"fetching {image}, once")
    layers: dict[str, Mapping[str, Any]] = {}
    for event in engine.pull(image):
        if "error" in event:
            raise ImageMissing(
                f"the image {image} is not here and cannot be fetched: {event['error']}"
            )
        if event.get("progressDetail"):
            layers[event["id"]] = event["progressDetail"]
            note(f"fetching {image}, once: {_progress(layers.values())}")


def _progress(layers: Iterable[Mapping[str, Any]]) -> str:
    known = [layer for layer in layers if layer.get("total")]
    done = sum(layer.get("current", 0) for layer in known) // _MEGABYTE
    total = sum(layer["total"] for layer in known) // _MEGABYTE
    return f"{done:,} of {total:,} MB"

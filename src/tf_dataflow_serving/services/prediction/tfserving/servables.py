"""The models as TensorFlow Serving names them: without projects, their versions numbers.

These are the models that the service was started with. A version is known by its name and by the
number in it, `v1` as 1; the latest one is that of the largest number.
"""

import re
from collections.abc import Sequence

from tf_dataflow_serving.services.prediction.errors import NotFound
from tf_dataflow_serving.services.prediction.registry.models import Model, ModelRegistry, Version
from tf_dataflow_serving.services.prediction.serving.saved_model import SavedModel

_NUMBERED = re.compile(r"v?([0-9]{1,18})")


class ServableNotFound(Exception):
    """There is no such model, or it has no such version."""


class Servables:
    """Finds what serves, and what the versions of it are called."""

    def __init__(self, models: ModelRegistry) -> None:
        self._models = models

    def latest(self, name: str) -> SavedModel:
        """Return the latest version of a model; raises ServableNotFound."""
        try:
            versions = self._models.deployed(name).versions.values()
        except NotFound:
            raise ServableNotFound(f"Servable not found for request: Latest({name})") from None
        return _loaded(max(versions, key=lambda version: _rank(version.name)))

    def specific(self, name: str, version: str) -> SavedModel:
        """Return a version of a model; raises ServableNotFound."""
        try:
            return _loaded(_find(self._models.deployed(name), version))
        except NotFound:
            raise ServableNotFound(
                f"Servable not found for request: Specific({name}, {version})"
            ) from None

    def versions(self, name: str) -> Sequence[str]:
        """Return the numbers of a model's versions, the latest first; raises ServableNotFound."""
        try:
            names = list(self._models.deployed(name).versions)
        except NotFound:
            raise ServableNotFound(f"Could not find any versions of model {name}") from None
        return [_number(version) for version in sorted(names, key=_rank, reverse=True)]

    def version(self, name: str, version: str) -> str:
        """Return the number of a version; raises ServableNotFound."""
        try:
            return _number(_find(self._models.deployed(name), version).name)
        except NotFound:
            raise ServableNotFound(f"Could not find version {version} of model {name}") from None


def _find(model: Model, wanted: str) -> Version:
    if wanted in model.versions:
        return model.versions[wanted]
    numbered = {_number(name): version for name, version in model.versions.items()}
    if wanted not in numbered:
        raise NotFound("version", wanted)
    return numbered[wanted]


def _loaded(version: Version) -> SavedModel:
    assert version.saved_model is not None  # noqa: S101 - the service starts with loaded ones
    return version.saved_model


def _number(name: str) -> str:
    """Return the number in a version's name, or the name that has none."""
    numbered = _NUMBERED.fullmatch(name)
    return str(int(numbered[1])) if numbered else name


def _rank(name: str) -> tuple[int, str]:
    number = _number(name)
    return (int(number) if number.isdecimal() else -1, name)

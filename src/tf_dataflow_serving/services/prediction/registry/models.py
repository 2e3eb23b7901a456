"""Models and their versions: which exist, which is the default, which can serve."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from tf_dataflow_serving.services.prediction.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
)
from tf_dataflow_serving.services.prediction.serving.saved_model import SavedModel

Clock = Callable[[], datetime]
_NAME = re.compile(r"[a-zA-Z]\w{0,127}", re.ASCII)


class VersionState(StrEnum):
    """The life of a version, as in GoogleCloudMlV1__Version.state."""

    CREATING = "CREATING"
    READY = "READY"
    FAILED = "FAILED"


@dataclass(frozen=True)
class VersionDefinition:
    """What the user says of a version; `attributes` are texts that only describe it."""

    name: str
    deployment_uri: str
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Version:
    """A SavedModel under a name of its own; it serves once it is READY.

    `artifact` names the copy that it is loaded from, if there is one.
    """

    definition: VersionDefinition
    created: datetime
    state: VersionState = VersionState.CREATING
    error_message: str = ""
    saved_model: SavedModel | None = None
    artifact: str = ""

    @property
    def name(self) -> str:
        """The name, unique within the model."""
        return self.definition.name

    def ready(self, saved_model: SavedModel, artifact: str = "") -> None:
        """Serve with this model from now on."""
        self.saved_model = saved_model
        self.artifact = artifact
        self.state = VersionState.READY

    def failed(self, reason: str) -> None:
        """Remember why there is nothing to serve with."""
        self.error_message = reason
        self.state = VersionState.FAILED


@dataclass(frozen=True)
class ModelDefinition:
    """What the user says of a model."""

    name: str
    description: str = ""
    regions: Sequence[str] = ()


@dataclass
class Model:
    """A named set of versions; the first one is the default until another is chosen."""

    definition: ModelDefinition
    versions: dict[str, Version] = field(default_factory=dict)
    default: Version | None = None

    @property
    def name(self) -> str:
        """The name, unique within the project."""
        return self.definition.name

    def version(self, name: str) -> Version:
        """Return the version of that name; raises NotFound."""
        if name not in self.versions:
            raise NotFound("name", f'The version resource: "{name}" was not found.')
        return self.versions[name]

    def add(self, version: Version) -> None:
        """Add a version; raises AlreadyExists."""
        if version.name in self.versions:
            raise AlreadyExists("version.name", "A version with the same name already exists.")
        self.versions[version.name] = version
        self.default = self.default or version

    def set_default(self, name: str) -> Version:
        """Make that version the default one; raises NotFound."""
        self.default = self.version(name)
        return self.default

    def remove(self, name: str) -> Version:
        """Take a version out; raises NotFound, or FailedPrecondition for a default with others."""
        version = self.version(name)
        if version is self.default and len(self.versions) > 1:
            raise FailedPrecondition(
                "name",
                f'The default version "{name}" cannot be deleted while the model has other'
                " versions: make another one the default first.",
            )
        del self.versions[name]
        self.default = None if version is self.default else self.default
        return version

    def copy(self) -> "Model":
        """Return a model with the same versions, free to change."""
        return Model(self.definition, dict(self.versions), self.default)


class Keeper(Protocol):
    """Remembers the models of projects from one start of the service to the next."""

    def load(self) -> dict[str, dict[str, Model]]:
        """Return the models that were saved, by project and name."""

    def save(self, project: str, models: Mapping[str, Model]) -> None:
        """Remember a project's models in place of what it had."""


class ModelRegistry:
    """All models of all projects.

    Those of `shared` are there for every project from the start, and for each to change for
    itself.
    """

    def __init__(self, clock: Clock, keeper: Keeper, shared: Sequence[Model] = ()) -> None:
        self._clock = clock
        self._keeper = keeper
        self._shared = {model.name: model for model in shared}
        self._projects = keeper.load()

    def models(self, project: str) -> list[Model]:
        """Return the models of a project, by name."""
        models = self._read(project)
        return [models[name] for name in sorted(models)]

    def model(self, project: str, name: str) -> Model:
        """Return a model to look at; raises NotFound."""
        return _find(self._read(project), name)

    def deployed(self, name: str) -> Model:
        """Return a model as it is there from the start; raises NotFound."""
        return _find(self._shared, name)

    def create_model(self, project: str, definition: ModelDefinition) -> Model:
        """Create a model without versions; raises InvalidArgument, AlreadyExists."""
        _check_name("model.name", definition.name)
        models = self._change(project)
        if definition.name in models:
            raise AlreadyExists("model.name", "A model with the same name already exists.")
        models[definition.name] = Model(definition)
        self.save(project)
        return models[definition.name]

    def delete_model(self, project: str, name: str) -> None:
        """Delete a model; raises NotFound, or FailedPrecondition if it has versions."""
        if _find(self._read(project), name).versions:
            raise FailedPrecondition(
                "name", f'The model "{name}" cannot be deleted: delete its versions first.'
            )
        del self._change(project)[name]
        self.save(project)

    def create_version(self, project: str, model: str, definition: VersionDefinition) -> Version:
        """Create a version that is still to be loaded; raises as the parts of it do."""
        _check_name("version.name", definition.name)
        version = Version(definition, self._clock())
        _find(self._change(project), model).add(version)
        self.save(project)
        return version

    def set_default(self, project: str, model: str, version: str) -> Version:
        """Make a version the default one of its model; raises NotFound."""
        chosen = _find(self._change(project), model).set_default(version)
        self.save(project)
        return chosen

    def delete_version(self, project: str, model: str, version: str) -> Version:
        """Delete a version and return what it was; raises NotFound, FailedPrecondition."""
        removed = _find(self._change(project), model).remove(version)
        self.save(project)
        return removed

    def chosen(self, project: str, model: str, version: str | None) -> Version:
        """Return a version, or the default one of the model.

        Raises NotFound, or FailedPrecondition if there is no default.
        """
        found = self.model(project, model)
        chosen = found.version(version) if version else found.default
        if chosen is None:
            raise FailedPrecondition("name", f'The model "{model}" has no default version.')
        return chosen

    def serving(self, project: str, model: str, version: str | None) -> SavedModel:
        """Return what predicts for a version, or for the default one of the model.

        Raises NotFound, or FailedPrecondition if the version is not READY.
        """
        chosen = self.chosen(project, model, version)
        if chosen.saved_model is None:
            raise FailedPrecondition(
                "name", f'The version "{chosen.name}" is not ready: {chosen.state}.'
            )
        return chosen.saved_model

    def artifacts(self) -> set[str]:
        """Return the names of the copies that versions are loaded from."""
        return {
            version.artifact
            for models in self._projects.values()
            for model in models.values()
            for version in model.versions.values()
        }

    def save(self, project: str) -> None:
        """Remember a project's models, now that one of them has changed."""
        self._keeper.save(project, self._projects[project])

    def _read(self, project: str) -> Mapping[str, Model]:
        return self._projects.get(project, self._shared)

    def _change(self, project: str) -> dict[str, Model]:
        """Return the project's own models, which are copies of the shared ones at first.

        Only a change makes them: requests that name any number of projects take no memory.
        """
        if project not in self._projects:
            self._projects[project] = {name: model.copy() for name, model in self._shared.items()}
        return self._projects[project]


def _find(models: Mapping[str, Model], name: str) -> Model:
    if name not in models:
        raise NotFound(
            "name",
            f'The model resource: "{name}" was not found. Please create the Cloud ML model'
            f" resource first by using 'gcloud ml-engine models create {name}'.",
        )
    return models[name]


def _check_name(where: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidArgument(
            where,
            "A name should start with a letter and contain only letters, numbers and underscores,"
            " at most 128 of them.",
        )

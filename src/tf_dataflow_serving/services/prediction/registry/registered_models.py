"""A registry of models whose versions are numbered, and have aliases."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

from tf_dataflow_serving.services.prediction.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
)
from tf_dataflow_serving.services.prediction.registry.lazy_model import LazyModel

Clock = Callable[[], datetime]
DEFAULT_ALIAS = "default"
# UploadModelRequest.model_id and Model.version_aliases, aiplatform v1.
_ID = re.compile(r"[a-z_][a-z0-9_-]{0,62}")
_ALIAS = re.compile(r"[a-z][a-zA-Z0-9-]{0,126}[a-z0-9]")


@dataclass(frozen=True)
class RegisteredVersion:
    """One upload. `attributes` only describe it; `artifact` names its copy, if there is one."""

    number: str
    model: LazyModel
    created: datetime
    updated: datetime
    artifact: str = ""
    description: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class RegisteredModel:
    """Versions under one name; an alias is that of one version, and one has `default`."""

    id: str
    display_name: str
    created: datetime
    updated: datetime
    description: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    versions: dict[str, RegisteredVersion] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    uploads: int = 0

    def version(self, reference: str = DEFAULT_ALIAS) -> RegisteredVersion:
        """Return a version by its number or one of its aliases; raises NotFound."""
        number = reference if reference in self.versions else self.aliases.get(reference)
        if number is None:
            raise NotFound("name", f"The Model {self.id} has no version {reference}.")
        return self.versions[number]

    def aliases_of(self, number: str) -> list[str]:
        """Return the aliases of a version."""
        return [alias for alias, target in self.aliases.items() if target == number]

    def next_number(self) -> str:
        """Return the number of the next version; none is used twice."""
        self.uploads += 1
        return str(self.uploads)

    def add(self, version: RegisteredVersion, aliases: Sequence[str]) -> None:
        """Add a version; aliases that others have become its own."""
        self.versions[version.number] = version
        self.aliases |= dict.fromkeys(aliases, version.number)
        self.aliases.setdefault(DEFAULT_ALIAS, version.number)

    def remove(self, number: str) -> RegisteredVersion:
        """Take a version out; raises FailedPrecondition for the default one."""
        if self.aliases[DEFAULT_ALIAS] == number:
            raise FailedPrecondition(
                "name",
                f"The default version {number} of Model {self.id} cannot be deleted: give another"
                " version the alias default first, or delete the model.",
            )
        for alias in self.aliases_of(number):
            del self.aliases[alias]
        return self.versions.pop(number)

    def copy(self) -> "RegisteredModel":
        """Return a model with the same versions, free to change."""
        return replace(self, versions=dict(self.versions), aliases=dict(self.aliases))


@dataclass(frozen=True)
class Upload:
    """What the user says of a model that is new, or of a version of `parent_id`."""

    display_name: str
    artifact_uri: str
    model_id: str = ""
    parent_id: str = ""
    description: str = ""
    version_description: str = ""
    aliases: Sequence[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)


class Keeper(Protocol):
    """Remembers models from one start of the service to the next."""

    def load(self) -> dict[str, dict[str, RegisteredModel]]:
        """Return the models that were saved, by parent and id."""

    def save(self, parent: str, models: Mapping[str, RegisteredModel]) -> None:
        """Remember the models of a parent in place of what it had."""


class RegisteredModels:
    """All models, by parent: projects/PROJECT/locations/LOCATION.

    Those of `shared` are there for every parent from the start, and for each to change for itself.
    """

    def __init__(
        self,
        clock: Clock,
        new_id: Callable[[], str],
        keeper: Keeper,
        shared: Sequence[RegisteredModel],
    ) -> None:
        self._clock = clock
        self._new_id = new_id
        self._keeper = keeper
        self._shared = {model.id: model for model in shared}
        self._parents = keeper.load()

    def models(self, parent: str) -> list[RegisteredModel]:
        """Return the models of a parent, by id."""
        models = self._read(parent)
        return [models[name] for name in sorted(models)]

    def model(self, parent: str, model_id: str) -> RegisteredModel:
        """Return a model to look at; raises NotFound."""
        models = self._read(parent)
        if model_id not in models:
            raise NotFound("name", f"The Model {parent}/models/{model_id} does not exist.")
        return models[model_id]

    def version(self, parent: str, model_id: str, reference: str) -> RegisteredVersion:
        """Return a version by number or alias; raises NotFound."""
        return self.model(parent, model_id).version(reference or DEFAULT_ALIAS)

    def check(self, parent: str, upload: Upload) -> None:
        """Raise InvalidArgument, NotFound or AlreadyExists for an upload that cannot be added."""
        for alias in upload.aliases:
            check_alias(alias)
        if upload.parent_id:
            self.model(parent, upload.parent_id)
        elif upload.model_id in self._read(parent):
            raise AlreadyExists(
                "model_id", f"The Model {parent}/models/{upload.model_id} exists already."
            )
        elif upload.model_id and not _ID.fullmatch(upload.model_id):
            raise InvalidArgument(
                "model_id",
                "An id has up to 63 characters of [a-z0-9_-], the first no digit and no hyphen.",
            )

    def model_id(self, upload: Upload) -> str:
        """Return the id of the model that an upload is for; a new number where none is given."""
        return upload.parent_id or upload.model_id or self._new_id()

    def add(
        self, parent: str, model_id: str, upload: Upload, model: LazyModel, artifact: str
    ) -> RegisteredVersion:
        """Add what was uploaded as the next version of a model; raises as `check` does."""
        self.check(parent, upload)
        models = self._change(parent)
        target = models.setdefault(model_id, self._new_model(model_id, upload))
        version = self._new_version(target.next_number(), upload, model, artifact)
        target.add(version, upload.aliases)
        self._keeper.save(parent, models)
        return version

    def update(self, parent: str, model_id: str, changes: Mapping[str, Any]) -> RegisteredModel:
        """Change display name, description or labels of a model; raises NotFound."""
        self.model(parent, model_id)
        models = self._change(parent)
        models[model_id] = replace(models[model_id], **changes, updated=self._clock())
        self._keeper.save(parent, models)
        return models[model_id]

    def update_version(
        self, parent: str, model_id: str, reference: str, changes: Mapping[str, Any]
    ) -> RegisteredModel:
        """Change description or labels of a version; raises NotFound."""
        number = self.version(parent, model_id, reference).number
        models = self._change(parent)
        versions = models[model_id].versions
        versions[number] = replace(versions[number], **changes, updated=self._clock())
        self._keeper.save(parent, models)
        return models[model_id]

    def merge_aliases(
        self, parent: str, model_id: str, reference: str, changes: Sequence[str]
    ) -> RegisteredModel:
        """Give a version aliases, or take away those with a `-` before them.

        Raises NotFound, InvalidArgument, or FailedPrecondition for taking `default` away.
        """
        number = self.version(parent, model_id, reference).number
        for change in changes:
            check_alias(change.removeprefix("-"))
        models = self._change(parent)
        _merge(models[model_id].aliases, number, changes)
        self._keeper.save(parent, models)
        return models[model_id]

    def delete(self, parent: str, model_id: str) -> RegisteredModel:
        """Delete a model and return what it was; raises NotFound."""
        self.model(parent, model_id)
        models = self._change(parent)
        deleted = models.pop(model_id)
        self._keeper.save(parent, models)
        return deleted

    def delete_version(self, parent: str, model_id: str, reference: str) -> RegisteredVersion:
        """Delete a version and return what it was; raises NotFound, FailedPrecondition."""
        number = self.version(parent, model_id, reference).number
        models = self._change(parent)
        deleted = models[model_id].remove(number)
        self._keeper.save(parent, models)
        return deleted

    def artifacts(self) -> set[str]:
        """Return the names of the copies that versions are loaded from."""
        return {
            version.artifact
            for models in self._parents.values()
            for model in models.values()
            for version in model.versions.values()
        }

    def _new_model(self, model_id: str, upload: Upload) -> RegisteredModel:
        now = self._clock()
        return RegisteredModel(
            model_id, upload.display_name, now, now, upload.description, upload.labels
        )

    def _new_version(
        self, number: str, upload: Upload, model: LazyModel, artifact: str
    ) -> RegisteredVersion:
        now = self._clock()
        return RegisteredVersion(
            number=number,
            model=model,
            created=now,
            updated=now,
            artifact=artifact,
            description=upload.version_description,
            # Those of a first upload are the model's, where `update` changes them.
            labels=upload.labels if upload.parent_id else {},
            attributes=upload.attributes,
        )

    def _read(self, parent: str) -> Mapping[str, RegisteredModel]:
        return self._parents.get(parent, self._shared)

    def _change(self, parent: str) -> dict[str, RegisteredModel]:
        """Return the parent's own models, which are copies of the shared ones at first."""
        if parent not in self._parents:
            self._parents[parent] = {name: model.copy() for name, model in self._shared.items()}
        return self._parents[parent]


def check_alias(alias: str) -> None:
    """Raise InvalidArgument for what cannot be an alias."""
    if not _ALIAS.fullmatch(alias):
        raise InvalidArgument(
            "version_aliases", f"{alias!r} is not of the form [a-z][a-zA-Z0-9-]{{0,126}}[a-z0-9]."
        )


def _merge(aliases: dict[str, str], number: str, changes: Sequence[str]) -> None:
    removed = {change[1:] for change in changes if change.startswith("-")}
    if DEFAULT_ALIAS in removed and aliases[DEFAULT_ALIAS] == number:
        raise FailedPrecondition(
            "version_aliases",
            "The alias default cannot be taken away: give it to another version instead.",
        )
    for alias in removed:
        if aliases.get(alias) == number:
            del aliases[alias]
    added = (change for change in changes if not change.startswith("-"))
    aliases |= dict.fromkeys(added, number)

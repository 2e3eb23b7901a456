"""Remembers Cloud ML Engine's models as documents, and loads their SavedModels again."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from tf_dataflow_serving.services.prediction.documents import Documents
from tf_dataflow_serving.services.prediction.errors import ModelUnusable
from tf_dataflow_serving.services.prediction.registry.models import (
    Model,
    ModelDefinition,
    Version,
    VersionDefinition,
)
from tf_dataflow_serving.services.prediction.serving.saved_model import SavedModel

_KIND = "models"
Document = dict[str, Any]


class ModelDocuments:
    """A document for each project; `load_artifact` raises ModelUnusable.

    Versions of `shared` models are not loaded again: they are as they were deployed at the start.
    """

    def __init__(
        self,
        documents: Documents,
        load_artifact: Callable[[str], SavedModel],
        shared: Sequence[Model],
    ) -> None:
        self._documents = documents
        self._load_artifact = load_artifact
        self._shared = {
            (model.name, version.name): version
            for model in shared
            for version in model.versions.values()
        }

    def load(self) -> dict[str, dict[str, Model]]:
        """Return the models that were saved, by project and name."""
        return {
            project: {found["name"]: self._model(found) for found in saved}
            for project, saved in self._documents.all(_KIND).items()
        }

    def save(self, project: str, models: Mapping[str, Model]) -> None:
        """Remember a project's models in place of what it had."""
        self._documents.put(_KIND, project, [self._document(model) for model in models.values()])

    def _document(self, model: Model) -> Document:
        definition = model.definition
        return {
            "name": definition.name,
            "description": definition.description,
            "regions": list(definition.regions),
            "default": model.default.name if model.default else None,
            "versions": [
                _version_document(version, shared=self._is_shared(model, version))
                for version in model.versions.values()
            ],
        }

    def _is_shared(self, model: Model, version: Version) -> bool:
        return self._shared.get((model.name, version.name)) is version

    def _model(self, saved: Document) -> Model:
        model = Model(ModelDefinition(saved["name"], saved["description"], saved["regions"]))
        for document in saved["versions"]:
            version = self._version(model.name, document)
            if version is not None:
                model.add(version)
        if saved["default"] in model.versions:
            model.set_default(saved["default"])
        return model

    def _version(self, model: str, saved: Document) -> Version | None:
        """Return a version as it was; None for a shared one that is not deployed any more."""
        if saved["shared"]:
            return self._shared.get((model, saved["name"]))
        definition = VersionDefinition(saved["name"], saved["uri"], saved["attributes"])
        version = Version(definition, datetime.fromisoformat(saved["created"]))
        try:
            self._revive(version, saved)
        except ModelUnusable as error:
            version.failed(str(error))
        return version

    def _revive(self, version: Version, saved: Document) -> None:
        if saved["artifact"]:
            # Also for a version that fails now: the next start may be able to load the copy.
            version.artifact = saved["artifact"]
            version.ready(self._load_artifact(version.artifact), version.artifact)
        else:
            interrupted = "The service ended while the version was being created."
            version.failed(saved["error_message"] or interrupted)


def _version_document(version: Version, *, shared: bool) -> Document:
    return {
        "name": version.name,
        "shared": shared,
        "uri": version.definition.deployment_uri,
        "attributes": dict(version.definition.attributes),
        "created": version.created.isoformat(),
        "error_message": version.error_message,
        "artifact": version.artifact,
    }

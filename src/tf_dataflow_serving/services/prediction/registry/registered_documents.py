"""Remembers registered models as documents."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from tf_dataflow_serving.services.prediction.documents import Documents
from tf_dataflow_serving.services.prediction.registry.lazy_model import LazyModel
from tf_dataflow_serving.services.prediction.registry.registered_models import (
    DEFAULT_ALIAS,
    RegisteredModel,
    RegisteredVersion,
)
from tf_dataflow_serving.services.prediction.serving.saved_model import SavedModel

_KIND = "registered_models"
Document = dict[str, Any]


class RegisteredModelDocuments:
    """A document for each parent; `load_artifact` raises ModelUnusable.

    A version without an artifact is one of `shared`: it is as it was deployed at the start, or
    gone.
    """

    def __init__(
        self,
        documents: Documents,
        load_artifact: Callable[[str], SavedModel],
        shared: Sequence[RegisteredModel],
    ) -> None:
        self._documents = documents
        self._load_artifact = load_artifact
        self._shared = {
            (model.id, version.number): version.model
            for model in shared
            for version in model.versions.values()
        }

    def load(self) -> dict[str, dict[str, RegisteredModel]]:
        """Return the models that were saved, by parent and id."""
        return {
            parent: {
                model.id: model for found in saved if (model := self._model(found)) is not None
            }
            for parent, saved in self._documents.all(_KIND).items()
        }

    def save(self, parent: str, models: Mapping[str, RegisteredModel]) -> None:
        """Remember the models of a parent in place of what it had."""
        self._documents.put(_KIND, parent, [_model_document(model) for model in models.values()])

    def _model(self, saved: Document) -> RegisteredModel | None:
        versions = self._versions(saved)
        if not versions:
            return None
        aliases = {
            alias: number for alias, number in saved["aliases"].items() if number in versions
        }
        aliases.setdefault(DEFAULT_ALIAS, next(iter(versions)))
        return RegisteredModel(
            id=saved["id"],
            display_name=saved["display_name"],
            created=datetime.fromisoformat(saved["created"]),
            updated=datetime.fromisoformat(saved["updated"]),
            description=saved["description"],
            labels=saved["labels"],
            versions=versions,
            aliases=aliases,
            uploads=saved["uploads"],
        )

    def _versions(self, saved: Document) -> dict[str, RegisteredVersion]:
        found = {}
        for document in saved["versions"]:
            model = self._lazy_model(saved["id"], document)
            if model is not None:
                found[document["number"]] = _version(document, model)
        return found

    def _lazy_model(self, model_id: str, saved: Document) -> LazyModel | None:
        if not saved["artifact"]:
            return self._shared.get((model_id, saved["number"]))
        return LazyModel(partial(self._load_artifact, saved["artifact"]))


def _version(saved: Document, model: LazyModel) -> RegisteredVersion:
    return RegisteredVersion(
        number=saved["number"],
        model=model,
        created=datetime.fromisoformat(saved["created"]),
        updated=datetime.fromisoformat(saved["updated"]),
        artifact=saved["artifact"],
        description=saved["description"],
        labels=saved["labels"],
        attributes=saved["attributes"],
    )


def _model_document(model: RegisteredModel) -> Document:
    return {
        "id": model.id,
        "display_name": model.display_name,
        "created": model.created.isoformat(),
        "updated": model.updated.isoformat(),
        "description": model.description,
        "labels": dict(model.labels),
        "aliases": model.aliases,
        "uploads": model.uploads,
        "versions": [_version_document(version) for version in model.versions.values()],
    }


def _version_document(version: RegisteredVersion) -> Document:
    return {
        "number": version.number,
        "artifact": version.artifact,
        "created": version.created.isoformat(),
        "updated": version.updated.isoformat(),
        "description": version.description,
        "labels": dict(version.labels),
        "attributes": dict(version.attributes),
    }

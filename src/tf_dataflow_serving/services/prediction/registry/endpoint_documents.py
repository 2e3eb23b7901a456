"""Remembers endpoints as documents, and what is deployed on them."""

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tf_dataflow_serving.services.prediction.documents import Documents
from tf_dataflow_serving.services.prediction.errors import ModelUnusable, NotFound
from tf_dataflow_serving.services.prediction.registry.endpoints import (
    DeployedModel,
    Endpoint,
    EndpointDefinition,
)
from tf_dataflow_serving.services.prediction.registry.registered_models import (
    RegisteredModels,
    RegisteredVersion,
)

_KIND = "endpoints"
_log = logging.getLogger(__name__)
Document = dict[str, Any]


class EndpointDocuments:
    """A document for each parent; what `models` cannot load any more is deployed no more."""

    def __init__(self, documents: Documents, models: RegisteredModels) -> None:
        self._documents = documents
        self._models = models

    def load(self) -> dict[str, dict[str, Endpoint]]:
        """Return the endpoints that were saved, by parent and id."""
        return {
            parent: {found["id"]: self._endpoint(parent, found) for found in saved}
            for parent, saved in self._documents.all(_KIND).items()
        }

    def save(self, parent: str, endpoints: Mapping[str, Endpoint]) -> None:
        """Remember the endpoints of a parent in place of what it had."""
        self._documents.put(
            _KIND, parent, [_endpoint_document(endpoint) for endpoint in endpoints.values()]
        )

    def _endpoint(self, parent: str, saved: Document) -> Endpoint:
        found = [self._deployed(parent, document) for document in saved["deployed"]]
        deployed = {model.id: model for model in found if model is not None}
        return Endpoint(
            id=saved["id"],
            definition=EndpointDefinition(**saved["definition"]),
            created=datetime.fromisoformat(saved["created"]),
            updated=datetime.fromisoformat(saved["updated"]),
            deployed=deployed,
            traffic={name: share for name, share in saved["traffic"].items() if name in deployed},
        )

    def _deployed(self, parent: str, saved: Document) -> DeployedModel | None:
        try:
            saved_model = self._version(parent, saved).model.get()
        except (NotFound, ModelUnusable) as error:
            _log.warning("deployed model %s is lost: %s", saved["id"], error)
            return None
        created = datetime.fromisoformat(saved["created"])
        return DeployedModel(**{**saved, "created": created, "saved_model": saved_model})

    def _version(self, parent: str, saved: Document) -> RegisteredVersion:
        version = self._models.version(parent, saved["model_id"], saved["version"])
        # A model of the start may have had the id and the numbers of an uploaded one.
        if version.artifact != saved["artifact"]:
            raise NotFound("version", f"{saved['version']} is another model's now.")
        return version


def _endpoint_document(endpoint: Endpoint) -> Document:
    definition = endpoint.definition
    return {
        "id": endpoint.id,
        "definition": {
            "display_name": definition.display_name,
            "description": definition.description,
            "labels": dict(definition.labels),
            "attributes": dict(definition.attributes),
        },
        "created": endpoint.created.isoformat(),
        "updated": endpoint.updated.isoformat(),
        "deployed": [_deployed_document(model) for model in endpoint.deployed.values()],
        "traffic": dict(endpoint.traffic),
    }


def _deployed_document(model: DeployedModel) -> Document:
    return {
        "id": model.id,
        "model_id": model.model_id,
        "version": model.version,
        "display_name": model.display_name,
        "created": model.created.isoformat(),
        "artifact": model.artifact,
        "attributes": dict(model.attributes),
    }

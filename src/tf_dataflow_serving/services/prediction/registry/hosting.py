"""Models from their upload to the endpoints that they answer on."""

import asyncio
import random
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from tf_dataflow_serving.services.prediction.documents import Documents
from tf_dataflow_serving.services.prediction.errors import (
    FailedPrecondition,
    ModelUnusable,
    ResourceError,
    StorageFailed,
)
from tf_dataflow_serving.services.prediction.operations import OperationFailed
from tf_dataflow_serving.services.prediction.registry.artifacts import Artifacts
from tf_dataflow_serving.services.prediction.registry.endpoint_documents import EndpointDocuments
from tf_dataflow_serving.services.prediction.registry.endpoints import (
    NEW_MODEL,
    DeployedModel,
    Endpoint,
    EndpointDefinition,
    Endpoints,
    Traffic,
)
from tf_dataflow_serving.services.prediction.registry.lazy_model import LazyModel
from tf_dataflow_serving.services.prediction.registry.models import Model, Version
from tf_dataflow_serving.services.prediction.registry.registered_documents import (
    RegisteredModelDocuments,
)
from tf_dataflow_serving.services.prediction.registry.registered_models import (
    RegisteredModel,
    RegisteredModels,
    RegisteredVersion,
    Upload,
)
from tf_dataflow_serving.services.prediction.serving.saved_model import SavedModel

Clock = Callable[[], datetime]
_FAILURES = (ResourceError, StorageFailed, ModelUnusable)


@dataclass(frozen=True)
class Deployment:
    """What the user asks for: a version on an endpoint, with its part of the traffic."""

    model_id: str
    version: str
    display_name: str = ""
    deployed_id: str = ""
    traffic: Traffic = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Hosting:
    """Registered models, endpoints, and the copies of the models' files."""

    models: RegisteredModels
    endpoints: Endpoints
    artifacts: Artifacts
    clock: Clock
    new_id: Callable[[], str]

    async def upload(self, parent: str, model_id: str, upload: Upload) -> RegisteredVersion:
        """Copy and load what is uploaded, and register it; raises OperationFailed."""
        artifact = ""
        try:
            artifact = await asyncio.to_thread(self.artifacts.fetch, upload.artifact_uri)
            model = LazyModel(partial(self.artifacts.load, artifact))
            await asyncio.to_thread(model.get)
            return self.models.add(parent, model_id, upload, model, artifact)
        except _FAILURES as error:
            if artifact:
                self.artifacts.discard(artifact)
            raise OperationFailed(f"The model cannot be uploaded: {error}") from error

    def check(self, parent: str, endpoint_id: str, deployment: Deployment) -> None:
        """Raise NotFound, AlreadyExists or InvalidArgument for what cannot be deployed."""
        self.models.version(parent, deployment.model_id, deployment.version)
        deployed_id = self.endpoints.deployed_id(deployment.deployed_id)
        self.endpoints.endpoint(parent, endpoint_id).check(deployed_id, deployment.traffic)

    async def deploy(self, parent: str, endpoint_id: str, deployment: Deployment) -> DeployedModel:
        """Load a version and let it answer on an endpoint; raises OperationFailed."""
        try:
            model = self.models.model(parent, deployment.model_id)
            version = self.models.version(parent, model.id, deployment.version)
            deployed = DeployedModel(
                id=self.endpoints.deployed_id(deployment.deployed_id),
                model_id=model.id,
                version=version.number,
                display_name=deployment.display_name or model.display_name,
                created=self.clock(),
                saved_model=await asyncio.to_thread(version.model.get),
                attributes=deployment.attributes,
            )
            return self.endpoints.deploy(parent, endpoint_id, deployed, deployment.traffic)
        except _FAILURES as error:
            raise OperationFailed(f"The model cannot be deployed: {error}") from error

    def load(self, project: str, location: str, model_id: str, version: str) -> SavedModel:
        """Return what predicts for a version; raises NotFound, ModelUnusable."""
        parent = f"projects/{project}/locations/{location}"
        return self.models.version(parent, model_id, version).model.get()

    def delete_model(self, parent: str, model_id: str) -> None:
        """Delete a model with its versions; raises NotFound, or FailedPrecondition if deployed."""
        self._refuse_deployed(parent, model_id)
        for version in self.models.delete(parent, model_id).versions.values():
            self._discard(version)

    def delete_version(self, parent: str, model_id: str, reference: str) -> None:
        """Delete a version; raises NotFound, FailedPrecondition."""
        number = self.models.version(parent, model_id, reference).number
        self._refuse_deployed(parent, model_id, number)
        self._discard(self.models.delete_version(parent, model_id, number))

    def _refuse_deployed(self, parent: str, model_id: str, number: str | None = None) -> None:
        for endpoint, deployed in self.endpoints.deployments(parent, model_id):
            if number in (None, deployed.version):
                raise FailedPrecondition(
                    "name",
                    f"The Model {model_id} cannot be deleted: its version {deployed.version} is"
                    f" deployed on endpoint {endpoint.id} as {deployed.id}.",
                )

    def _discard(self, version: RegisteredVersion) -> None:
        if version.artifact:
            self.artifacts.discard(version.artifact)


def open_hosting(
    documents: Documents,
    artifacts: Artifacts,
    clock: Clock,
    draw: random.Random,
    deployed: Sequence[Model],
) -> Hosting:
    """Return what was hosted before; `deployed` models are there for every project and location.

    Each of them is also on an endpoint of its own, the first version with all traffic.
    """
    shared = _registered(deployed)
    keeper = RegisteredModelDocuments(documents, artifacts.load, shared)
    models = RegisteredModels(clock, _new_id, keeper, shared)
    endpoints = Endpoints(
        clock,
        draw,
        _new_id,
        EndpointDocuments(documents, models),
        [_endpoint(model) for model in shared],
    )
    return Hosting(models, endpoints, artifacts, clock, _new_id)


def _registered(deployed: Sequence[Model]) -> list[RegisteredModel]:
    """Return the models under ids in lower case, as all ids are; of equal ids they are one."""
    found: dict[str, RegisteredModel] = {}
    for model in deployed:
        created = min(version.created for version in model.versions.values())
        registered = found.setdefault(
            model.name.lower(), RegisteredModel(model.name.lower(), model.name, created, created)
        )
        for version in model.versions.values():
            registered.add(_registered_version(registered.next_number(), version), [version.name])
    return list(found.values())


def _registered_version(number: str, version: Version) -> RegisteredVersion:
    assert version.saved_model is not None  # noqa: S101 - the start fails without it
    return RegisteredVersion(
        number, LazyModel.of(version.saved_model), version.created, version.created
    )


def _endpoint(model: RegisteredModel) -> Endpoint:
    version = model.version()
    deployed = DeployedModel(
        id=version.number,
        model_id=model.id,
        version=version.number,
        display_name=model.display_name,
        created=model.created,
        saved_model=version.model.get(),
    )
    endpoint = Endpoint(
        model.id.replace("_", "-"),
        EndpointDefinition(model.display_name),
        model.created,
        model.created,
    )
    endpoint.deploy(deployed, {NEW_MODEL: 100})
    return endpoint


def _new_id() -> str:
    """Return a number like those of Google's, which nobody has yet."""
    return str(secrets.randbelow(9 * 10**18) + 10**18)

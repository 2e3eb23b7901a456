"""The models of the start, registered and each on an endpoint of its own."""

from collections.abc import Sequence

from tf_dataflow_serving.services.prediction.documents import Documents
from tf_dataflow_serving.services.prediction.registry.endpoints import (
    NEW_MODEL,
    DeployedModel,
    Endpoint,
    EndpointDefinition,
)
from tf_dataflow_serving.services.prediction.registry.lazy_model import LazyModel
from tf_dataflow_serving.services.prediction.registry.models import Model, Version
from tf_dataflow_serving.services.prediction.registry.registered_models import (
    RegisteredModel,
    RegisteredVersion,
)

_KIND = "shared_version_names"


class _Numbers:
    """The number of each name NAME:VERSION: the same at every start, whatever else is deployed."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._names: dict[str, list[str]] = documents.all(_KIND)

    def number(self, model_id: str, name: str) -> int:
        names = self._names.setdefault(model_id, [])
        if name not in names:
            names.append(name)
            self._documents.put(_KIND, model_id, names)
        return names.index(name) + 1

    def last(self, model_id: str) -> int:
        return len(self._names[model_id])


def registered_models(documents: Documents, deployed: Sequence[Model]) -> list[RegisteredModel]:
    """Return the models under ids in lower case, as all ids are; of equal ids they are one.

    A version has the number that it had at earlier starts.
    """
    numbers = _Numbers(documents)
    found: dict[str, RegisteredModel] = {}
    for model in deployed:
        registered = found.setdefault(model.name.lower(), _without_versions(model))
        for version in model.versions.values():
            number = numbers.number(registered.id, f"{model.name}:{version.name}")
            registered.add(_registered_version(str(number), version), _aliases(version))
        registered.uploads = numbers.last(registered.id)
    return list(found.values())


def endpoint_of(model: RegisteredModel) -> Endpoint:
    """Return the endpoint on which a model's default version has all traffic."""
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


def _without_versions(model: Model) -> RegisteredModel:
    created = min(version.created for version in model.versions.values())
    return RegisteredModel(model.name.lower(), model.name, created, created)


def _registered_version(number: str, version: Version) -> RegisteredVersion:
    assert version.saved_model is not None  # noqa: S101 - the start fails without it
    return RegisteredVersion(
        number, LazyModel.of(version.saved_model), version.created, version.created
    )


def _aliases(version: Version) -> list[str]:
    # MODEL@2 is the version of that number, whatever another one was called.
    return [] if version.name.isdecimal() else [version.name]

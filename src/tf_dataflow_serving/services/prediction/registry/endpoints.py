"""Endpoints: which models are deployed on each, and which of them answers a request."""

import random
import re
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

from tf_dataflow_serving.services.prediction.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
)
from tf_dataflow_serving.services.prediction.serving.saved_model import SavedModel

Clock = Callable[[], datetime]
Traffic = Mapping[str, int]
NEW_MODEL = "0"
"""Stands for the model that is being deployed, in the traffic split of its deployment."""

_ALL_TRAFFIC = 100
# CreateEndpointRequest.endpoint_id and DeployedModel.id, aiplatform v1.
_ID = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?|[1-9][0-9]{0,8}")
_DEPLOYED_ID = re.compile(rf"(?!{NEW_MODEL}\Z)[0-9]{{1,10}}")


@dataclass(frozen=True)
class DeployedModel:
    """A version of a model that answers on an endpoint; `attributes` only describe it.

    `artifact` names the copy that it was loaded from, if there is one.
    """

    id: str
    model_id: str
    version: str
    display_name: str
    created: datetime
    saved_model: SavedModel
    artifact: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class EndpointDefinition:
    """What the user says of an endpoint; `attributes` only describe it."""

    display_name: str
    description: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Endpoint:
    """Deployed models and the percentage of the requests that each of them answers."""

    id: str
    definition: EndpointDefinition
    created: datetime
    updated: datetime
    deployed: dict[str, DeployedModel] = field(default_factory=dict)
    traffic: Traffic = field(default_factory=dict)

    def direct(self, traffic: Traffic) -> None:
        """Split the traffic anew; raises InvalidArgument."""
        _check_traffic(traffic, self.deployed.keys())
        self.traffic = {name: share for name, share in traffic.items() if share}

    def check(self, deployed_id: str, traffic: Traffic) -> None:
        """Raise AlreadyExists or InvalidArgument for a deployment that cannot be."""
        if deployed_id in self.deployed:
            raise AlreadyExists("deployed_model.id", f"{deployed_id} is deployed here already.")
        _check_traffic(traffic, {NEW_MODEL, *self.deployed})

    def deploy(self, model: DeployedModel, traffic: Traffic) -> None:
        """Add a model; without a new split the traffic stays where it is.

        Raises AlreadyExists, InvalidArgument.
        """
        self.check(model.id, traffic)
        self.deployed[model.id] = model
        if traffic:
            self.direct(
                {model.id if name == NEW_MODEL else name: share for name, share in traffic.items()}
            )

    def undeploy(self, deployed_id: str, traffic: Traffic) -> None:
        """Take a model out, once nothing is directed to it.

        Raises NotFound, InvalidArgument, FailedPrecondition.
        """
        if deployed_id not in self.deployed:
            raise NotFound(
                "deployed_model_id", f"No model {deployed_id} is deployed on endpoint {self.id}."
            )
        if traffic:
            self.direct(traffic)
        last = len(self.deployed) == 1
        if deployed_id in self.traffic and not last:
            raise FailedPrecondition(
                "deployed_model_id",
                f"The deployed model {deployed_id} still has traffic: give a traffic split"
                " without it.",
            )
        del self.deployed[deployed_id]
        self.traffic = {} if last else self.traffic

    def choose(self, draw: random.Random) -> DeployedModel:
        """Return the model to answer one request; raises FailedPrecondition."""
        if not self.traffic:
            raise FailedPrecondition("endpoint", f"Endpoint {self.id} doesn't have traffic_split.")
        if len(self.traffic) == 1:
            (chosen,) = self.traffic
        else:
            (chosen,) = draw.choices(list(self.traffic), list(self.traffic.values()))
        return self.deployed[chosen]

    def copy(self) -> "Endpoint":
        """Return an endpoint with the same models, free to change."""
        return replace(self, deployed=dict(self.deployed))


class Keeper(Protocol):
    """Remembers endpoints from one start of the service to the next."""

    def load(self) -> dict[str, dict[str, Endpoint]]:
        """Return the endpoints that were saved, by parent and id."""

    def save(self, parent: str, endpoints: Mapping[str, Endpoint]) -> None:
        """Remember the endpoints of a parent in place of what it had."""


class Endpoints:
    """All endpoints, by parent: projects/PROJECT/locations/LOCATION.

    Those of `shared` are there for every parent from the start, and for each to change for itself.
    `draw` decides between the models of an endpoint.
    """

    def __init__(
        self,
        clock: Clock,
        draw: random.Random,
        new_id: Callable[[], str],
        keeper: Keeper,
        shared: Sequence[Endpoint],
    ) -> None:
        self._clock = clock
        self._draw = draw
        self._new_id = new_id
        self._keeper = keeper
        self._shared = {endpoint.id: endpoint for endpoint in shared}
        self._parents = keeper.load()

    def endpoints(self, parent: str) -> list[Endpoint]:
        """Return the endpoints of a parent, by id."""
        endpoints = self._read(parent)
        return [endpoints[name] for name in sorted(endpoints)]

    def endpoint(self, parent: str, endpoint_id: str) -> Endpoint:
        """Return an endpoint to look at; raises NotFound."""
        endpoints = self._read(parent)
        if endpoint_id not in endpoints:
            raise NotFound("name", f"The Endpoint {parent}/endpoints/{endpoint_id} does not exist.")
        return endpoints[endpoint_id]

    def answering(self, parent: str, endpoint_id: str) -> DeployedModel:
        """Return the model to answer one request; raises NotFound, FailedPrecondition."""
        return self.endpoint(parent, endpoint_id).choose(self._draw)

    def deployments(self, parent: str, model_id: str) -> list[tuple[Endpoint, DeployedModel]]:
        """Return where versions of a model are deployed."""
        return [
            (endpoint, deployed)
            for endpoint in self.endpoints(parent)
            for deployed in endpoint.deployed.values()
            if deployed.model_id == model_id
        ]

    def create(self, parent: str, endpoint_id: str, definition: EndpointDefinition) -> Endpoint:
        """Create an endpoint, by a number where no id is given.

        Raises InvalidArgument, AlreadyExists.
        """
        chosen = endpoint_id or self._new_id()
        self._check_new(parent, endpoint_id)
        now = self._clock()
        endpoints = self._change(parent)
        endpoints[chosen] = Endpoint(chosen, definition, now, now)
        self._keeper.save(parent, endpoints)
        return endpoints[chosen]

    def update(
        self, parent: str, endpoint_id: str, changes: Mapping[str, Any], traffic: Traffic | None
    ) -> Endpoint:
        """Change display name, description or labels, and the traffic split if one is given.

        Raises NotFound, InvalidArgument.
        """

        def change(endpoint: Endpoint) -> None:
            if traffic is not None:
                endpoint.direct(traffic)
            endpoint.definition = replace(endpoint.definition, **changes)

        return self._changed(parent, endpoint_id, change)

    def delete(self, parent: str, endpoint_id: str) -> None:
        """Delete an endpoint; raises NotFound, or FailedPrecondition if it has models."""
        endpoint = self.endpoint(parent, endpoint_id)
        if endpoint.deployed:
            raise FailedPrecondition(
                "name",
                f"Endpoint {endpoint_id} cannot be deleted: undeploy its models first"
                f" ({', '.join(endpoint.deployed)}).",
            )
        endpoints = self._change(parent)
        del endpoints[endpoint_id]
        self._keeper.save(parent, endpoints)

    def deployed_id(self, given: str) -> str:
        """Return the id of a model to be deployed, a number if none is given.

        Raises InvalidArgument.
        """
        if given and not _DEPLOYED_ID.fullmatch(given):
            raise InvalidArgument("deployed_model.id", "An id has 1 to 10 digits, and is not 0.")
        return given or self._new_id()

    def deploy(
        self, parent: str, endpoint_id: str, model: DeployedModel, traffic: Traffic
    ) -> DeployedModel:
        """Deploy a model; raises NotFound, AlreadyExists, InvalidArgument."""
        self._changed(parent, endpoint_id, lambda endpoint: endpoint.deploy(model, traffic))
        return model

    def undeploy(self, parent: str, endpoint_id: str, deployed_id: str, traffic: Traffic) -> None:
        """Undeploy a model; raises NotFound, InvalidArgument, FailedPrecondition."""
        self._changed(parent, endpoint_id, lambda endpoint: endpoint.undeploy(deployed_id, traffic))

    def _check_new(self, parent: str, endpoint_id: str) -> None:
        if endpoint_id and not _ID.fullmatch(endpoint_id):
            raise InvalidArgument(
                "endpoint_id",
                "An id has up to 63 characters of [a-z0-9-], from a letter to a letter or digit,"
                " or is a number of up to 9 digits.",
            )
        if endpoint_id in self._read(parent):
            raise AlreadyExists(
                "endpoint_id", f"The Endpoint {parent}/endpoints/{endpoint_id} exists already."
            )

    def _changed(
        self, parent: str, endpoint_id: str, change: Callable[[Endpoint], None]
    ) -> Endpoint:
        """Change a copy, so that a change that is refused leaves nothing behind."""
        changed = self.endpoint(parent, endpoint_id).copy()
        change(changed)
        changed.updated = self._clock()
        endpoints = self._change(parent)
        endpoints[endpoint_id] = changed
        self._keeper.save(parent, endpoints)
        return changed

    def _read(self, parent: str) -> Mapping[str, Endpoint]:
        return self._parents.get(parent, self._shared)

    def _change(self, parent: str) -> dict[str, Endpoint]:
        """Return the parent's own endpoints, which are the shared ones at first."""
        if parent not in self._parents:
            self._parents[parent] = dict(self._shared)
        return self._parents[parent]


def _check_traffic(traffic: Traffic, known: Set[str]) -> None:
    unknown = traffic.keys() - known
    if unknown:
        raise InvalidArgument(
            "traffic_split", f"No such model is deployed here: {', '.join(sorted(unknown))}."
        )
    if traffic and sum(traffic.values()) != _ALL_TRAFFIC:
        raise InvalidArgument("traffic_split", "The percentages have to add up to 100.")

"""Where the services are: an immutable value, to and from environment variables."""

import os
from collections.abc import Mapping, MutableMapping
from dataclasses import asdict, dataclass

from tf_dataflow_serving.errors import UserError
from tf_dataflow_serving.services.child import LOOPBACK
from tf_dataflow_serving.services.redirect import SITE_DIRECTORY

VARIABLES = {
    "project": "GOOGLE_CLOUD_PROJECT",
    "credentials": "GOOGLE_APPLICATION_CREDENTIALS",
    "pubsub": "PUBSUB_EMULATOR_HOST",
    "pubsub_control": "PUBSUB_CONTROL_EMULATOR_HOST",
    "bigquery": "BIGQUERY_EMULATOR_HOST",
    "bigquery_storage": "BIGQUERY_STORAGE_EMULATOR_HOST",
    "storage": "STORAGE_EMULATOR_HOST",
    "prediction": "PREDICTION_EMULATOR_HOST",
}
# No lookup of a metadata server, which offline means a wait of seconds.
_OFFLINE = {"NO_GCE_CHECK": "true"}


_EMULATOR_SUFFIX = "_EMULATOR_HOST"


def leave_emulators(environment: MutableMapping[str, str]) -> None:
    """Remove every variable that leads away from Google Cloud.

    With them go the project and the credentials of the local services, if they came from there.
    """
    if all(environment.get(name) for name in VARIABLES.values()):
        for name in [*VARIABLES.values(), *_OFFLINE]:
            environment.pop(name, None)
    for name in [name for name in environment if name.endswith(_EMULATOR_SUFFIX)]:
        del environment[name]


class EndpointsMissing(UserError):
    """The environment does not name all services."""


@dataclass(frozen=True)
class Endpoints:
    """The addresses of a complete set of services.

    `pubsub` and `bigquery_storage`, which speak gRPC, are host:port; the others are URLs, of
    which `pubsub_control` is the one where tests look into Pub/Sub. `credentials` is the path
    of a service-account file whose token endpoint is local.
    """

    project: str
    credentials: str
    pubsub: str
    pubsub_control: str
    bigquery: str
    bigquery_storage: str
    storage: str
    prediction: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Endpoints":
        """Read the variables that `environment()` writes; raises EndpointsMissing."""
        missing = [name for name in VARIABLES.values() if not environment.get(name)]
        if missing:
            raise EndpointsMissing(f"not set in the environment: {', '.join(missing)}")
        return cls(**{field: environment[name] for field, name in VARIABLES.items()})

    def environment(self, base: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the variables that point a process, and its children, at these services.

        `base` is the environment that the process would have had; its PYTHONPATH is kept.
        """
        inherited = (base or {}).get("PYTHONPATH", "").split(os.pathsep)
        site = str(SITE_DIRECTORY)
        path = [site, *(entry for entry in inherited if entry and entry != site)]
        named = {VARIABLES[field]: value for field, value in asdict(self).items()}
        return {**named, **_OFFLINE, "PYTHONPATH": os.pathsep.join(path)}


def url(port: int) -> str:
    """Return the URL of a service on this machine."""
    return f"http://{address(port)}"


def address(port: int) -> str:
    """Return the host:port of a service on this machine."""
    return f"{LOOPBACK}:{port}"

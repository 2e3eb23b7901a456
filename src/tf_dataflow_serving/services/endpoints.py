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
# What only services of ours have.
OPTIONAL = ("pubsub_control", "prediction")
# No lookup of a metadata server, which offline means a wait of seconds.
_OFFLINE = {"NO_GCE_CHECK": "true"}
_REQUIRED = [name for field, name in VARIABLES.items() if field not in OPTIONAL]
_EMULATOR_SUFFIX = "_EMULATOR_HOST"


def leave_emulators(environment: MutableMapping[str, str]) -> None:
    """Remove every variable that leads away from Google Cloud.

    With them go the project, the credentials and the redirection of the local services, if they
    came from there.
    """
    redirected = str(SITE_DIRECTORY) in environment.get("PYTHONPATH", "").split(os.pathsep)
    if redirected and all(environment.get(name) for name in _REQUIRED):
        for name in [*VARIABLES.values(), *_OFFLINE]:
            environment.pop(name, None)
    for name in [name for name in environment if name.endswith(_EMULATOR_SUFFIX)]:
        del environment[name]
    _leave_redirection(environment)


def _leave_redirection(environment: MutableMapping[str, str]) -> None:
    kept = _without_site(environment.get("PYTHONPATH", ""))
    if kept:
        environment["PYTHONPATH"] = os.pathsep.join(kept)
    else:
        environment.pop("PYTHONPATH", None)


def _without_site(python_path: str) -> list[str]:
    site = str(SITE_DIRECTORY)
    return [entry for entry in python_path.split(os.pathsep) if entry and entry != site]


def _without_proxy(base: Mapping[str, str]) -> dict[str, str]:
    """Keep what is sent to this machine from a proxy that `base` names."""
    given = base.get("no_proxy") or base.get("NO_PROXY") or ""
    hosts = ",".join(dict.fromkeys([*filter(None, given.split(",")), LOOPBACK, "localhost"]))
    return {"no_proxy": hosts, "NO_PROXY": hosts}


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
    bigquery: str
    bigquery_storage: str
    storage: str
    prediction: str | None = None
    pubsub_control: str | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Endpoints":
        """Read the variables that `environment()` writes; raises EndpointsMissing."""
        missing = [name for name in _REQUIRED if not environment.get(name)]
        if missing:
            raise EndpointsMissing(f"not set in the environment: {', '.join(missing)}")
        return cls(**{field: environment.get(name) or None for field, name in VARIABLES.items()})  # type: ignore[arg-type] # none of the required is None

    def places(self) -> dict[str, str]:
        """Return the address of each service by the variable that names it."""
        named = asdict(self)
        services = [field for field in VARIABLES if field not in ("project", "credentials")]
        return {VARIABLES[field]: named[field] for field in services if named[field] is not None}

    def environment(self, base: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the variables that point a process, and its children, at these services.

        `base` is the environment that the process would have had; its PYTHONPATH is kept.
        """
        path = [str(SITE_DIRECTORY), *_without_site((base or {}).get("PYTHONPATH", ""))]
        return {
            VARIABLES["project"]: self.project,
            VARIABLES["credentials"]: self.credentials,
            **self.places(),
            **_OFFLINE,
            **_without_proxy(base or {}),
            "PYTHONPATH": os.pathsep.join(path),
        }

    def applied_to(self, base: Mapping[str, str]) -> dict[str, str]:
        """Return the environment `base`, led to these services and to no other ones."""
        kept = {name: value for name, value in base.items() if name not in VARIABLES.values()}
        return {**kept, **self.environment(base)}


def url(port: int) -> str:
    """Return the URL of a service on this machine."""
    return f"http://{address(port)}"


def address(port: int) -> str:
    """Return the host:port of a service on this machine."""
    return f"{LOOPBACK}:{port}"

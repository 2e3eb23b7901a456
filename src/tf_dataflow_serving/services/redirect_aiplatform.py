"""Points google-cloud-aiplatform at the emulator that PREDICTION_EMULATOR_HOST names.

All that this relies on is private to google-cloud-aiplatform, and is as in 1.165:

- `initializer._Config` takes address and transport of all clients from `_api_endpoint` and
  `_api_transport`; an `api_endpoint` that the user gave to `init` stays what it was
- `models.Endpoint.raw_predict` posts to a Google host through `authorized_session`, whatever
  endpoint was configured
- `utils.resource_manager_utils` asks another service of Google's for the names of projects
"""

from __future__ import annotations

import os
from functools import wraps
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

VARIABLE = "PREDICTION_EMULATOR_HOST"
_LOOKUPS = {"get_project_id": "project_number", "get_project_number": "project_id"}


def redirect_clients(initializer: ModuleType) -> None:
    """Have clients that are made from now on reach the emulator, over REST."""
    config = initializer._Config
    for name in ("_api_endpoint", "_api_transport"):
        if name not in vars(config()):
            raise AttributeError(f"{config.__qualname__} has no attribute {name!r}")
    config._api_endpoint = _Setting("_api_endpoint", _emulator)
    config._api_transport = _Setting("_api_transport", lambda: "rest")


def redirect_raw_predictions(models: ModuleType) -> None:
    """Have `Endpoint.raw_predict` reach the emulator too."""
    endpoint = models.Endpoint
    original = endpoint.raw_predict

    @wraps(original)
    def raw_predict(self: Any, *arguments: Any, **named: Any) -> Any:
        if not self.authorized_session:
            self.authorized_session = _session(self.credentials)
        return original(self, *arguments, **named)

    endpoint.raw_predict = raw_predict


def skip_project_lookups(resource_manager_utils: ModuleType) -> None:
    """Take a project's id for its number and its number for its id, without asking anybody."""
    for name, argument in _LOOKUPS.items():
        original = getattr(resource_manager_utils, name)
        setattr(resource_manager_utils, name, _itself(original, argument))


def _emulator() -> str | None:
    return os.environ.get(VARIABLE, "").rstrip("/") or None


class _Setting:
    """An attribute of a configuration: the emulator's, if there is one and no other endpoint."""

    def __init__(self, name: str, emulated: Callable[[], str | None]) -> None:
        self._name = name
        self._emulated = emulated

    def __get__(self, config: Any, _owner: type) -> Any:
        if _emulator() and not vars(config).get("_api_endpoint"):
            return self._emulated()
        return vars(config).get(self._name)

    def __set__(self, config: Any, value: object) -> None:
        vars(config)[self._name] = value


def _session(credentials: Any) -> Any:
    """Return a session whose requests go to the emulator, if there is one, else None."""
    from google.auth.transport.requests import AuthorizedSession  # noqa: PLC0415 - heavy
    from google.cloud.aiplatform import initializer  # noqa: PLC0415 - heavy

    emulator = _emulator()
    if emulator is None or initializer.global_config.api_endpoint != emulator:
        return None

    there = urlsplit(emulator)

    class EmulatorSession(AuthorizedSession):
        def request(self, method: Any, url: Any, *arguments: Any, **named: Any) -> Any:
            moved = urlsplit(url)._replace(scheme=there.scheme, netloc=there.netloc).geturl()
            return super().request(method, moved, *arguments, **named)  # type: ignore[no-untyped-call]

    return EmulatorSession(credentials)  # type: ignore[no-untyped-call]


def _itself(original: Callable[..., str], argument: str) -> Callable[..., str]:
    @wraps(original)
    def look_up(*arguments: Any, **named: Any) -> str:
        if _emulator() is None:
            return original(*arguments, **named)
        return str(arguments[0] if arguments else named[argument])

    return look_up

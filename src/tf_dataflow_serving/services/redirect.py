"""Points Google's clients, those inside Beam too, at emulators that environment variables name.

google-cloud-bigquery, -storage and -pubsub honour such variables themselves. Beam's own BigQuery
client, the clients of the BigQuery Storage API and those of Vertex AI do not; `install` makes them:

- BIGQUERY_EMULATOR_HOST, http://host:port: Beam's apitools client
- BIGQUERY_STORAGE_EMULATOR_HOST, host:port: the Storage Read and Write APIs, over plain gRPC
- PREDICTION_EMULATOR_HOST, http://host:port: google-cloud-aiplatform, over REST

The variables are read when a client is made; where one is unset, its clients are as they were.
Written for apache-beam 2.77, google-cloud-bigquery-storage 2.x, google-cloud-aiplatform 1.165 and
google-auth 2.62.
"""

from __future__ import annotations

import os
import sys

# As typing has it, which every Python that starts would import for this alone.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from importlib.machinery import ModuleSpec
    from logging import LogRecord
    from pathlib import Path
    from types import ModuleType
    from typing import Any

    Patch = Callable[[ModuleType], None]

BIGQUERY_VARIABLE = "BIGQUERY_EMULATOR_HOST"
BIGQUERY_STORAGE_VARIABLE = "BIGQUERY_STORAGE_EMULATOR_HOST"

SITE_DIRECTORY: Path
"""On PYTHONPATH, this directory makes every Python that starts call `install`."""


def __getattr__(name: str) -> Any:
    if name != "SITE_DIRECTORY":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Imported by who asks for it, not by every Python that starts.
    from pathlib import Path  # noqa: PLC0415

    return Path(__file__).with_name("redirect_site")


def install() -> None:
    """Redirect the clients of this process, of modules imported already or later; idempotent.

    Imports neither Beam nor Google's libraries. Raises AttributeError, then or at their import,
    if a library no longer has what is redirected.
    """
    patch_on_import(_PATCHES)


def patch_on_import(patches: Mapping[str, Patch]) -> None:
    """Patch modules, those imported already or once they are; idempotent for the same patches."""
    if any(isinstance(one, _PatchingFinder) and one.patches is patches for one in sys.meta_path):
        return
    sys.meta_path.insert(0, _PatchingFinder(patches))
    for name, patch in patches.items():
        if name in sys.modules:
            patch(sys.modules[name])


class _EmulatorUrl:
    """A class attribute: the emulator's URL if there is one, else what it was."""

    def __init__(self, original: str, path: str) -> None:
        self._original = original
        self._path = path

    def __get__(self, _instance: object, _owner: type) -> str:
        emulator = os.environ.get(BIGQUERY_VARIABLE)
        return f"{emulator.rstrip('/')}{self._path}" if emulator else self._original


def _redirect_apitools(module: ModuleType) -> None:
    client = module.BigqueryV2
    client.BASE_URL = _EmulatorUrl(client.BASE_URL, "/bigquery/v2/")


def _redirect_channels(class_name: str, make_channel: Callable[..., Any]) -> Patch:
    def patch(module: ModuleType) -> None:
        transport = getattr(module, class_name)
        original = transport.create_channel.__func__

        def create_channel(cls: type, *args: Any, **kwargs: Any) -> Any:
            emulator = os.environ.get(BIGQUERY_STORAGE_VARIABLE)
            if not emulator:
                return original(cls, *args, **kwargs)
            return make_channel(emulator, kwargs.get("options"))

        transport.create_channel = classmethod(create_channel)

    return patch


def _plain_channel(address: str, options: Any) -> Any:
    import grpc  # noqa: PLC0415 - imported by who makes a channel, not by every Python

    return grpc.insecure_channel(address, options)


def _plain_asyncio_channel(address: str, options: Any) -> Any:
    import grpc.aio  # noqa: PLC0415 - imported by who makes a channel, not by every Python

    return grpc.aio.insecure_channel(address, options)


def _silence_boundary_lookup(module: ModuleType) -> None:
    """Drop what google-auth says, at every token, of an account without an e-mail address.

    The account of the local services has none so that no lookup is made.
    """
    module._LOGGER.addFilter(_is_no_boundary_remark)


def _is_no_boundary_remark(record: LogRecord) -> bool:
    emulated = bool(os.environ.get(BIGQUERY_VARIABLE))
    return not (emulated and "Regional Access Boundary" in record.getMessage())


def _patch_aiplatform(name: str) -> Patch:
    def patch(module: ModuleType) -> None:
        # Imported by who uses Vertex AI, not by every Python that starts.
        from tf_dataflow_serving.services import redirect_aiplatform  # noqa: PLC0415

        getattr(redirect_aiplatform, name)(module)

    return patch


_AIPLATFORM = "google.cloud.aiplatform"
_STORAGE_SERVICES = "google.cloud.bigquery_storage_v1.services"
_PATCHES: Mapping[str, Patch] = {
    "google.oauth2.service_account": _silence_boundary_lookup,
    "apache_beam.io.gcp.internal.clients.bigquery.bigquery_v2_client": _redirect_apitools,
    f"{_STORAGE_SERVICES}.big_query_read.transports.grpc": _redirect_channels(
        "BigQueryReadGrpcTransport", _plain_channel
    ),
    f"{_STORAGE_SERVICES}.big_query_read.transports.grpc_asyncio": _redirect_channels(
        "BigQueryReadGrpcAsyncIOTransport", _plain_asyncio_channel
    ),
    f"{_STORAGE_SERVICES}.big_query_write.transports.grpc": _redirect_channels(
        "BigQueryWriteGrpcTransport", _plain_channel
    ),
    f"{_STORAGE_SERVICES}.big_query_write.transports.grpc_asyncio": _redirect_channels(
        "BigQueryWriteGrpcAsyncIOTransport", _plain_asyncio_channel
    ),
    f"{_AIPLATFORM}.initializer": _patch_aiplatform("redirect_clients"),
    f"{_AIPLATFORM}.models": _patch_aiplatform("redirect_raw_predictions"),
    f"{_AIPLATFORM}.utils.resource_manager_utils": _patch_aiplatform("skip_project_lookups"),
}


class _PatchingFinder:
    """Finds the modules to patch as the other finders do, and patches them once they ran."""

    def __init__(self, patches: Mapping[str, Patch]) -> None:
        self.patches = patches

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of a module to patch; None for all others."""
        patch = self.patches.get(name)
        if patch is None:
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        specs = (finder.find_spec(name, path, target) for finder in others)
        spec = next((found for found in specs if found is not None), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _PatchingLoader(spec.loader, patch)  # type: ignore[assignment]
        return spec


class _PatchingLoader:
    """Loads a module by its own loader, then patches it."""

    def __init__(self, loader: Any, patch: Patch) -> None:
        self._loader = loader
        self._patch = patch

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Make the module as its own loader does."""
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Run the module, then the patch."""
        self._loader.exec_module(module)
        self._patch(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

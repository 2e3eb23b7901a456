"""Services that somebody else runs: found by environment variables or options."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import httpx

from tf_dataflow_serving.errors import UserError
from tf_dataflow_serving.services.credentials import local_credentials
from tf_dataflow_serving.services.endpoints import VARIABLES, Endpoints
from tf_dataflow_serving.services.probe import TIMEOUT_SECONDS, require_answers
from tf_dataflow_serving.services.stack import DEFAULT_PROJECT


class CarelessEmulator(UserError):
    """A BigQuery emulator on which Beam's own clean-up deletes what is somebody's."""


# Google's clients take these as host:port, the others as a URL; people write either.
_HOST_AND_PORT = ("pubsub", "bigquery_storage")


@contextmanager
def external_services(
    environment: Mapping[str, str], options: Mapping[str, str | None]
) -> Iterator[Endpoints]:
    """Yield the services that `options`, by the name of the endpoint, or else variables name.

    Nobody's credentials are sent there: for as long as this lasts, there are some of our own.
    Raises EndpointsMissing, or ServiceDown for the first that does not answer.
    """
    project = options.get("project") or environment.get(VARIABLES["project"]) or DEFAULT_PROJECT
    with (
        tempfile.TemporaryDirectory(prefix="tf-dataflow-serving-") as directory,
        local_credentials(Path(directory), project) as credentials,
    ):
        own = {VARIABLES["project"]: project, VARIABLES["credentials"]: str(credentials)}
        endpoints = Endpoints.from_environment({**_places(environment, options), **own})
        require_answers(endpoints)
        _refuse_careless(endpoints)
        yield endpoints


def _refuse_careless(endpoints: Endpoints) -> None:
    """Raise CarelessEmulator if a list of labelled datasets names one that has no such label."""
    response = httpx.get(
        f"{endpoints.bigquery}/bigquery/v2/projects/{endpoints.project}/datasets",
        params={"filter": f"labels.no_such_label_{uuid4().hex}"},
        timeout=TIMEOUT_SECONDS,
        trust_env=False,
    )
    if response.is_success and '"datasets"' in response.text:
        raise CarelessEmulator(
            f"{VARIABLES['bigquery']}: the emulator at {endpoints.bigquery} ignores the label "
            "filter of datasets.list, so that Beam's clean-up would delete every dataset in it; "
            "--services containers has a gateway in front of it"
        )


def _places(environment: Mapping[str, str], options: Mapping[str, str | None]) -> dict[str, str]:
    named = {field: options.get(field) or environment.get(VARIABLES[field]) for field in VARIABLES}
    return {VARIABLES[field]: _in_form(field, place) for field, place in named.items() if place}


def _in_form(field: str, place: str) -> str:
    bare = place.rstrip("/")
    if field in _HOST_AND_PORT:
        return bare.partition("://")[2] or bare
    return bare if "://" in bare else f"http://{bare}"

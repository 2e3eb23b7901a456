"""The REST API of the other emulator, as far as the warehouse needs it."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from tf_dataflow_serving.services.bigquery.errors import BackendFailed, NotFound
from tf_dataflow_serving.services.bigquery.types.schema import Schema, schema_from_rest
from tf_dataflow_serving.services.bigquery.upstream.failures import failure, was_unread
from tf_dataflow_serving.services.bigquery.warehouse import TableRef

# It handles one request at a time, and a long INSERT takes it seconds.
TIMEOUT_SECONDS = 300.0
# It lets a request wait for 15 s each time.
_ATTEMPTS = 20
_MICROSECONDS = {"useInt64Timestamp": True}


@dataclass(frozen=True)
class Answer:
    """What a query gave: cells as the emulator writes them, see `cells`."""

    schema: Schema
    rows: list[Mapping[str, Any]]


class UpstreamClient:
    """The emulator at a base URL such as http://127.0.0.1:9050; may be used in any thread.

    Raises what `failures` makes of its answers, and BackendFailed if there is none.
    """

    def __init__(self, base_url: str) -> None:
        self._http = httpx.Client(
            base_url=f"{base_url.rstrip('/')}/bigquery/v2",
            timeout=TIMEOUT_SECONDS,
            trust_env=False,
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def dataset(self, project: str, dataset: str) -> Mapping[str, Any] | None:
        """A Dataset resource; None if there is none."""
        return self._found(_dataset_path(project, dataset))

    def create_dataset(self, project: str, dataset: str) -> None:
        """Make a dataset; raises AlreadyExists."""
        reference = {"projectId": project, "datasetId": dataset}
        self._request("POST", f"{_project_path(project)}/datasets", {"datasetReference": reference})

    def table(self, table: TableRef) -> Mapping[str, Any] | None:
        """A Table resource; None if there is none."""
        return self._found(
            f"{_dataset_path(table.project, table.dataset)}/tables/{quote(table.table, safe='')}"
        )

    def query(self, project: str, statements: str) -> Answer:
        """What the last of some statements gives; nothing that they change is kept.

        A dry run does run here, and is rolled back. Unlike a query, it leaves no job behind,
        and the emulator reads all of its jobs, with their results, at every request.
        """
        answer = self._run(project, statements, {"dryRun": True})
        return _given(answer)

    def execute(self, project: str, statements: str) -> Answer:
        """Run statements in one transaction, keep what they change; what the last of them gives.

        One that makes or drops a table must stand alone: the emulator does not undo that.
        """
        answer = self._run(project, statements, {})
        job = answer["jobReference"]["jobId"]
        # What was to be done is done: a job that stays is but slow.
        with suppress(BackendFailed, NotFound):
            self._request("DELETE", f"{_project_path(project)}/jobs/{quote(job)}/delete")
        return _given(answer)

    def _run(self, project: str, statements: str, more: Mapping[str, Any]) -> Mapping[str, Any]:
        request = {"query": statements, "useLegacySql": False, "formatOptions": _MICROSECONDS}
        return self._request("POST", f"{_project_path(project)}/queries", {**request, **more})

    def _found(self, path: str) -> Mapping[str, Any] | None:
        try:
            return self._request("GET", path)
        except NotFound:
            return None

    def _request(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> Mapping[str, Any]:
        for _ in range(_ATTEMPTS):
            response = self._sent(method, path, body)
            if not response.is_error:
                return _object(response)
            message = _message(response)
            if not was_unread(message):
                raise failure(response.status_code, message)
        raise failure(response.status_code, message)

    def _sent(self, method: str, path: str, body: Mapping[str, Any] | None) -> httpx.Response:
        try:
            return self._http.request(method, path, json=body)
        except httpx.HTTPError as error:
            where = self._http.base_url
            message = f"The BigQuery emulator at {where} did not answer: {error!r}"
            raise BackendFailed(message) from error


def _given(answer: Mapping[str, Any]) -> Answer:
    schema = schema_from_rest((answer.get("schema") or {}).get("fields") or ())
    return Answer(schema, answer.get("rows") or [])


def _project_path(project: str) -> str:
    return f"/projects/{quote(project, safe='')}"


def _dataset_path(project: str, dataset: str) -> str:
    return f"{_project_path(project)}/datasets/{quote(dataset, safe='')}"


def _object(response: httpx.Response) -> Mapping[str, Any]:
    # Deletions are answered without a body.
    if not response.content:
        return {}
    try:
        content: Mapping[str, Any] = response.json()
    except ValueError as error:
        raise BackendFailed(f"The BigQuery emulator answered no JSON to {response.url}") from error
    return content


def _message(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"]["message"])
    except (KeyError, TypeError, ValueError):
        return response.text or f"status {response.status_code}"

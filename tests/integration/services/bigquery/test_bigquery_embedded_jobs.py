"""Jobs and lists of the embedded service, as requests that no Google client sends."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

PROJECT = "local-project"


class Rest:
    """The REST API, and a dataset in it."""

    def __init__(self, url: str) -> None:
        self.client = httpx.Client(base_url=url, timeout=60)
        self.dataset = f"jobs_{uuid4().hex}"
        reference = {"projectId": PROJECT, "datasetId": self.dataset}
        self.post("/datasets", {"datasetReference": reference})

    def post(self, path: str, body: Any, project: str = PROJECT) -> dict[str, Any]:
        response = self.client.post(f"/bigquery/v2/projects/{project}{path}", json=body)
        assert response.is_success, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def table(self, name: str) -> dict[str, str]:
        return {"projectId": PROJECT, "datasetId": self.dataset, "tableId": name}

    def make(self, name: str) -> None:
        fields = [{"name": "a", "type": "INTEGER"}]
        body = {"tableReference": self.table(name), "schema": {"fields": fields}}
        self.post(f"/datasets/{self.dataset}/tables", body)

    def page(self, **query: Any) -> dict[str, Any]:
        path = f"/bigquery/v2/projects/{PROJECT}/datasets/{self.dataset}/tables"
        answer: dict[str, Any] = self.client.get(path, params=query).json()
        return answer

    def names(self) -> list[str]:
        return [item["tableReference"]["tableId"] for item in self.page().get("tables", [])]

    def close(self) -> None:
        path = f"/bigquery/v2/projects/{PROJECT}/datasets/{self.dataset}"
        response = self.client.delete(path, params={"deleteContents": True})
        assert response.is_success, response.text
        self.client.close()


@pytest.fixture
def rest(running: Any) -> Any:
    made = Rest(running.rest_url)
    yield made
    made.close()


def jobs_of(rest: Rest) -> dict[str, Any]:
    source, target = rest.table("source"), rest.table("target")
    uri = [f"gs://{rest.dataset}/x"]
    schema = {"fields": [{"name": "a", "type": "INTEGER"}]}
    return {
        "load": {"destinationTable": target, "sourceUris": uri, "schema": schema},
        "extract": {"sourceTable": source, "destinationUris": uri},
        "copy": {"sourceTable": source, "destinationTable": target},
    }


@pytest.mark.parametrize("kind", ["load", "extract", "copy"])
def test_a_dry_run_changes_nothing(rest: Rest, kind: str) -> None:
    rest.make("source")
    job = rest.post("/jobs", {"configuration": {"dryRun": True, kind: jobs_of(rest)[kind]}})
    assert job["status"] == {"state": "DONE"}
    assert job["configuration"]["dryRun"] is True
    assert rest.names() == ["source"]


@pytest.mark.parametrize("kind", ["extract", "copy"])
def test_a_dry_run_tells_what_is_not_there(rest: Rest, kind: str) -> None:
    job = rest.post("/jobs", {"configuration": {"dryRun": True, kind: jobs_of(rest)[kind]}})
    assert job["status"]["errorResult"]["reason"] == "notFound"


def test_a_dry_run_takes_no_upload(rest: Rest) -> None:
    job = {"configuration": {"dryRun": True, "load": jobs_of(rest)["load"]}}
    path = f"/upload/bigquery/v2/projects/{PROJECT}/jobs"
    begun = rest.client.post(path, params={"uploadType": "resumable"}, json=job)
    done = rest.client.put(begun.headers["location"], content=b"1\n").json()
    assert (done["status"], rest.names()) == ({"state": "DONE"}, [])


def test_results_of_two_jobs_are_never_mixed_up(rest: Rest) -> None:
    job = f"job-{uuid4()}"
    insert_query(rest, PROJECT, job, "SELECT 1 AS x")
    for project, other in (("another-project", job), (PROJECT, job.replace("-", ""))):
        with pytest.raises(AssertionError, match="Already Exists"):
            insert_query(rest, project, other, "SELECT 2 AS x")
    rows = rest.client.get(f"/bigquery/v2/projects/{PROJECT}/queries/{job}").json()["rows"]
    assert rows == [{"f": [{"v": "1"}]}]


def insert_query(rest: Rest, project: str, job: str, query: str) -> None:
    configuration = {"query": {"query": query, "useLegacySql": False}}
    body = {"jobReference": {"projectId": project, "jobId": job}, "configuration": configuration}
    rest.post("/jobs", body, project)


def test_a_list_skips_nothing_while_its_items_are_deleted(rest: Rest) -> None:
    for number in range(5):
        rest.make(f"t{number}")
    seen: list[str] = []
    token: str | None = ""
    while token is not None:
        page = rest.page(maxResults=2, pageToken=token)
        for item in page["tables"]:
            seen.append(item["tableReference"]["tableId"])
            table = f"/datasets/{rest.dataset}/tables/{seen[-1]}"
            rest.client.delete(f"/bigquery/v2/projects/{PROJECT}{table}").raise_for_status()
        token = page.get("nextPageToken")
    assert seen == [f"t{number}" for number in range(5)]
    assert rest.names() == []


def test_jobs_are_listed_newest_first(rest: Rest) -> None:
    project = f"project-{uuid4().hex}"
    ids = [f"job-{uuid4()}" for _ in range(3)]
    for job in ids:
        insert_query(rest, project, job, "SELECT 1 AS x")
    listed: list[Any] = []
    token: str | None = ""
    while token is not None:
        path = f"/bigquery/v2/projects/{project}/jobs"
        page = rest.client.get(path, params={"maxResults": 2, "pageToken": token}).json()
        listed += page["jobs"]
        token = page.get("nextPageToken")
    assert {job["jobReference"]["jobId"] for job in listed} == set(ids)
    times = [int(job["statistics"]["creationTime"]) for job in listed]
    assert times == sorted(times, reverse=True)
    assert len(listed) == len(ids)


def test_a_table_takes_the_schema_of_what_replaces_it(rest: Rest) -> None:
    rest.make("target")
    for query, kind in (("SELECT 'x' AS a", "STRING"), ("SELECT JSON '{}' AS a", "JSON")):
        destination = {"destinationTable": rest.table("target")}
        options = {"useLegacySql": False, "writeDisposition": "WRITE_TRUNCATE"}
        body = {"query": {"query": query, **destination, **options}}
        assert rest.post("/jobs", {"configuration": body})["status"] == {"state": "DONE"}
        path = f"/bigquery/v2/projects/{PROJECT}/datasets/{rest.dataset}/tables/target"
        fields = rest.client.get(path).json()["schema"]["fields"]
        assert [field["type"] for field in fields] == [kind]

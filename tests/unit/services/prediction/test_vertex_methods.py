"""Every method that the API has for the resources that are served, and the table of them."""

import asyncio
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from googleapiclient import discovery_cache
from starlette.routing import BaseRoute, Match, Mount

from tf_dataflow_serving.services.prediction.app import create_app
from tf_dataflow_serving.services.prediction.service import open_service

RESOURCES = ("models", "endpoints", "batchPredictionJobs", "operations")
TABLE = Path(__file__).parents[4] / "docs" / "prediction.md"
LEFT_OUT = "_left_out"


def discovered(resource: str) -> Mapping[str, Any]:
    """Return the methods of a resource, below a location."""
    documents = Path(discovery_cache.__file__).with_name("documents")
    document = json.loads((documents / "aiplatform.v1.json").read_text())
    locations = document["resources"]["projects"]["resources"]["locations"]
    return locations["resources"][resource]["methods"]


METHODS = {
    f"{resource}.{name}": method
    for resource in RESOURCES
    for name, method in discovered(resource).items()
}


@pytest.fixture(scope="module")
def routes() -> Sequence[BaseRoute]:
    async def application() -> Sequence[BaseRoute]:
        async with open_service("http://127.0.0.1:9", []) as service:
            return create_app(service).routes

    return asyncio.run(application())


def handlers(routes: Sequence[BaseRoute], scope: Mapping[str, Any]) -> Iterator[str]:
    """Return the names of what answers a request, the one that does first."""
    for route in routes:
        match, below = route.matches(scope)
        if match is Match.FULL and isinstance(route, Mount):
            yield from handlers(route.routes, {**scope, **below})
        elif match is Match.FULL:
            yield below["endpoint"].__name__


def answering(routes: Sequence[BaseRoute], method: Mapping[str, Any]) -> str:
    path = "/" + re.sub(r"{\w+}", "x", method["flatPath"])
    scope = {"type": "http", "path": path, "root_path": "", "method": method["httpMethod"]}
    return next(handlers(routes, scope), "nobody")


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_served_or_left_out_by_name(routes, name):
    assert answering(routes, METHODS[name]) != "nobody"


def test_the_table_says_which(routes):
    rows = [
        f"| {name} | {'no' if answering(routes, method) == LEFT_OUT else 'yes'} |"
        for name, method in METHODS.items()
    ]
    written = re.findall(r"^\| \w+\.\w+ \| (?:yes|no) \|$", TABLE.read_text(), re.MULTILINE)
    assert written == rows

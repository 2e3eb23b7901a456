"""A complete set of services of which three are containers.

Pub/Sub, BigQuery and Cloud Storage are the emulators that others make. In front of the last two
are gateways of ours, without which Beam loses data on the one and writes no file on the other;
prediction, which nobody else emulates, is ours.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager

import httpx

from tf_dataflow_serving.services.children import Children
from tf_dataflow_serving.services.containers.engine import Engine
from tf_dataflow_serving.services.containers.images import Images, require_images
from tf_dataflow_serving.services.endpoints import Endpoints, address, url
from tf_dataflow_serving.services.process import ServiceProcess
from tf_dataflow_serving.services.stack import (
    DEFAULT_PROJECT,
    DeployedModel,
    Stack,
    start_prediction,
)

_MODULE = "tf_dataflow_serving.services.containers"
_PUBSUB_PORT = 8085
_BIGQUERY_PORT = 9050
_STORAGE_PORT = 4443
_CONFIGURE_TIMEOUT_SECONDS = 10.0


@contextmanager
def container_stack(
    images: Images,
    note: Callable[[str], None],
    project: str = DEFAULT_PROJECT,
    models: Sequence[DeployedModel] = (),
) -> Iterator[Stack]:
    """Start the containers on free loopback ports; remove them on leaving.

    `note` is told of images that are fetched. Raises DockerMissing, ImageMissing, ServiceFailed.
    """
    with closing(Engine()) as engine:
        engine.remove_orphans()
        require_images(engine, images.all(), note)
    with Children.in_fresh_directory(project) as children:
        endpoints = _start(children, images, project, models)
        yield Stack(endpoints, children.directory, children.processes)


def _start(
    children: Children, images: Images, project: str, models: Sequence[DeployedModel]
) -> Endpoints:
    starting = (
        _pubsub(children, images.pubsub, project),
        _bigquery(children, images.bigquery, project),
        _storage(children, images.storage),
    )
    pubsub, emulated_bigquery, emulated_storage = (started.result() for started in starting)
    upstream_url = url(emulated_storage.ports["http"])
    _tell_its_address(upstream_url)
    storage = children.start("storage", "--upstream_url", upstream_url).result()
    storage_url = url(storage.ports["http"])
    bigquery, prediction = (
        started.result()
        for started in (
            children.start(
                "bigquery",
                *("--project", project, "--storage_url", storage_url),
                *("--upstream_url", url(emulated_bigquery.ports["http"])),
            ),
            start_prediction(children, storage_url, models),
        )
    )
    return Endpoints(
        project=project,
        credentials=str(children.credentials),
        pubsub=address(pubsub.ports["grpc"]),
        bigquery=url(bigquery.ports["http"]),
        bigquery_storage=address(bigquery.ports["grpc"]),
        storage=storage_url,
        prediction=url(prediction.ports["http"]),
    )


def _pubsub(children: Children, image: str, project: str) -> "Future[ServiceProcess]":
    where = f"--host-port=0.0.0.0:{_PUBSUB_PORT}"
    start = ("gcloud", "beta", "emulators", "pubsub", "start", where, f"--project={project}")
    return _contained(children, "pubsub", image, f"grpc={_PUBSUB_PORT}", *start)


def _bigquery(children: Children, image: str, project: str) -> "Future[ServiceProcess]":
    where = ("--image", image, "--publish", f"http={_BIGQUERY_PORT}")
    flags = (f"--project={project}", f"--port={_BIGQUERY_PORT}", "--log-level=error")
    # The catalogs of dropped tables lie in a memory that ends at 2 GB: collected at Go's own
    # pace, they take all of it after some hundred tables, and the emulator dies.
    env = ("--env", "GOGC=10")
    return children.start_module("bigquery-emulator", _MODULE, *where, *env, "--", *flags)


def _storage(children: Children, image: str) -> "Future[ServiceProcess]":
    flags = ("-scheme", "http", "-backend", "memory", "-port", str(_STORAGE_PORT))
    return _contained(children, "storage-emulator", image, f"http={_STORAGE_PORT}", *flags)


def _contained(
    children: Children, name: str, image: str, published: str, *command: str
) -> "Future[ServiceProcess]":
    where = ("--image", image, "--publish", published)
    return children.start_module(name, _MODULE, *where, "--", *command)


def _tell_its_address(storage_url: str) -> None:
    """Have fake-gcs-server send resumable uploads to the port that is published."""
    body = {"externalUrl": storage_url}
    httpx.put(
        f"{storage_url}/_internal/config",
        json=body,
        timeout=_CONFIGURE_TIMEOUT_SECONDS,
        trust_env=False,
    ).raise_for_status()

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tf_dataflow_serving.services.containers.engine import DockerMissing, Engine
from tf_dataflow_serving.services.containers.images import ImageMissing, Images, require_images


class Registry(Engine):
    """An engine without Docker: it has some images, and what it fetches tells these events."""

    def __init__(self, here: list[str], *events: Mapping[str, Any]) -> None:
        self.here = here
        self.events = events
        self.fetched: list[str] = []

    def has_image(self, name: str) -> bool:
        return name in self.here

    def pull(self, name: str) -> Iterator[Mapping[str, Any]]:
        self.fetched.append(name)
        yield from self.events


def test_the_official_ones_are_the_defaults() -> None:
    images = Images.from_environment({})
    assert images.pubsub == "gcr.io/google.com/cloudsdktool/google-cloud-cli:emulators"
    assert images.bigquery.startswith("ghcr.io/goccy/bigquery-emulator:")
    assert images.storage.startswith("fsouza/fake-gcs-server:")


def test_variables_name_others() -> None:
    images = Images.from_environment({"DATAFLOW_SERVING_STORAGE_IMAGE": "mine:1"})
    assert images.storage == "mine:1"
    assert images.pubsub == Images().pubsub


def test_only_what_is_not_here_is_fetched_and_said() -> None:
    engine = Registry(
        ["a:1"],
        {"status": "Pulling"},
        {"id": "x", "progressDetail": {"current": 2_000_000, "total": 8_000_000}},
        {"id": "y", "progressDetail": {"current": 1_000_000, "total": 1_000_000}},
    )
    said: list[str] = []
    require_images(engine, ["a:1", "b:2"], said.append)
    assert engine.fetched == ["b:2"]
    assert said[0] == "fetching b:2, once"
    assert said[-1] == "fetching b:2, once: 3 of 9 MB"


def test_an_image_that_cannot_be_fetched_is_named() -> None:
    engine = Registry([], {"error": "no such host"})
    with pytest.raises(ImageMissing, match=r"b:2 .*no such host"):
        require_images(engine, ["b:2"], lambda _: None)


@pytest.mark.parametrize("host", ["tcp://192.0.2.1:2375", "ssh://me@elsewhere"])
def test_an_engine_elsewhere_is_refused(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)
    with pytest.raises(DockerMissing, match="another machine"):
        Engine()


def test_without_an_engine_the_embedded_way_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    with pytest.raises(DockerMissing, match="no Docker engine answers; --services embedded"):
        Engine()

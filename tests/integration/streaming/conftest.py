"""Services of its own for each file: they are killed here."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from .fleet import Fleet, fleet_of
from .scene import scene_of


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with fleet_of(tmp_path_factory.mktemp("fleet")) as running:
        yield running


@pytest.fixture
def new_scene(fleet: Fleet, tmp_path: Path) -> Callable[..., object]:
    """Makes a scene, a context manager, for a command."""
    return partial(scene_of, fleet, tmp_path / "pipeline.log")

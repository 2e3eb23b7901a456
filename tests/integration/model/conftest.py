"""A small model, trained once for all tests of a worker process."""

from pathlib import Path

import pytest

from tf_dataflow_serving.model.evaluation import Evaluation
from tf_dataflow_serving.model.training import train

SMALL = {"rows": 6_000, "epochs": 2, "seed": 3}


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Evaluation]:
    """Its directory, and what its training said of it."""
    directory = tmp_path_factory.mktemp("models") / "small"
    return directory, train(directory, **SMALL)

"""What the service does with the models and files that are there when it starts."""

import asyncio
from pathlib import Path

import pytest

from tf_dataflow_serving.errors import UserError
from tf_dataflow_serving.services.prediction.service import Deployment, open_service

NO_STORAGE = "http://127.0.0.1:9"


def start(*deployments: Deployment, data_dir: Path | None = None) -> None:
    async def started() -> None:
        async with open_service(NO_STORAGE, deployments, data_dir):
            pass

    asyncio.run(started())


def test_a_directory_that_is_not_there_is_the_users_mistake(tmp_path):
    with pytest.raises(UserError, match=r"^m:v1=\S+/none cannot be deployed: no saved_model\.pb"):
        start(Deployment("m", "v1", tmp_path / "none"))


def test_a_version_that_is_given_twice_is_the_users_mistake(zoo_dir):
    with pytest.raises(UserError, match="the model has this version already"):
        start(Deployment("m", "v1", zoo_dir), Deployment("m", "v1", zoo_dir))


def test_the_users_own_files_in_the_data_directory_stay(tmp_path):
    mine = tmp_path / "models" / "mine" / "saved_model.pb"
    mine.parent.mkdir(parents=True)
    mine.touch()
    left_by_a_crash = tmp_path / "models" / ("0" * 32)
    left_by_a_crash.mkdir()
    start(data_dir=tmp_path)
    assert mine.exists()
    assert not left_by_a_crash.exists()

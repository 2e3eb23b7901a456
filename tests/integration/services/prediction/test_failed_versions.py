"""Versions whose objects on gs:// are no model."""

import asyncio

import pytest

from tf_dataflow_serving.services.prediction.operations import OperationFailed
from tf_dataflow_serving.services.prediction.registry.models import (
    ModelDefinition,
    VersionDefinition,
    VersionState,
)
from tf_dataflow_serving.services.prediction.service import open_service


@pytest.mark.parametrize(
    ("objects", "path", "reason"),
    [
        ([], "", "is not of the form gs://"),
        (["m/a", "m/a/b"], "/m", "m/a/b: "),
        (["m/text"], "/m", r"no saved_model\.pb"),
    ],
)
def test_a_version_that_cannot_be_created_has_failed_and_leaves_no_copy(
    storage_url, bucket, tmp_path, objects, path, reason
):
    for name in objects:
        bucket.blob(name).upload_from_string("no model")

    async def create() -> None:
        async with open_service(storage_url, [], tmp_path) as service:
            service.models.create_model("p", ModelDefinition("m"))
            definition = VersionDefinition("v", f"gs://{bucket.name}{path}")
            version = service.models.create_version("p", "m", definition)
            with pytest.raises(OperationFailed, match=reason):
                await service.deploy("p", version)
            assert version.state is VersionState.FAILED
            assert list(tmp_path.glob("models/*")) == []

    asyncio.run(create())

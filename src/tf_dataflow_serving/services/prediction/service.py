"""The parts of the prediction service, put together."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from tf_dataflow_serving.services.prediction.errors import ModelUnusable, StorageFailed
from tf_dataflow_serving.services.prediction.jobs import BatchJobs
from tf_dataflow_serving.services.prediction.models import (
    Model,
    ModelDefinition,
    ModelRegistry,
    Version,
    VersionDefinition,
)
from tf_dataflow_serving.services.prediction.objects import ObjectStore
from tf_dataflow_serving.services.prediction.operations import OperationFailed, Operations
from tf_dataflow_serving.services.prediction.saved_model import SavedModel

_CPUS = os.cpu_count() or 1


@dataclass(frozen=True)
class Deployment:
    """A SavedModel in a local directory that is served from the start, to every project."""

    model: str
    version: str
    directory: Path


@dataclass(frozen=True)
class PredictionService:
    """Models, jobs and operations; `predictors` has the threads of online prediction.

    Batch jobs have threads of their own, so that they hold up no online request.
    """

    models: ModelRegistry
    jobs: BatchJobs
    operations: Operations
    store: ObjectStore
    predictors: ThreadPoolExecutor

    async def deploy(self, version: Version) -> None:
        """Load a version from gs:// and let it serve; raises OperationFailed."""
        try:
            version.ready(await asyncio.to_thread(self.load, version.definition.deployment_uri))
        except (StorageFailed, ModelUnusable) as error:
            version.failed(str(error))
            raise OperationFailed(f"Create Version failed. {error}") from error

    def load(self, uri: str) -> SavedModel:
        """Load the SavedModel below a gs:// URI; raises StorageFailed, ModelUnusable."""
        with TemporaryDirectory(prefix="model-") as directory:
            self.store.download_model(uri, Path(directory))
            return SavedModel.load(Path(directory))


@asynccontextmanager
async def open_service(
    storage_url: str, deployments: Sequence[Deployment]
) -> AsyncIterator[PredictionService]:
    """Load the deployments and yield the service; raises ModelUnusable.

    On leaving, jobs are stopped and waited for.
    """
    deployed = await asyncio.to_thread(_deployed, deployments)
    store = ObjectStore(storage_url)
    with (
        ThreadPoolExecutor(_CPUS, "batch-predict") as workers,
        ThreadPoolExecutor(_CPUS, "predict") as predictors,
    ):
        jobs = BatchJobs(store, workers, _now, concurrent=_CPUS)
        operations = Operations(_now)
        models = ModelRegistry(_now, deployed)
        try:
            yield PredictionService(models, jobs, operations, store, predictors)
        finally:
            await jobs.close()
            await operations.close()


def _deployed(deployments: Sequence[Deployment]) -> list[Model]:
    models: dict[str, Model] = {}
    for deployment in deployments:
        definition = ModelDefinition(deployment.model)
        model = models.setdefault(deployment.model, Model(definition))
        model.add(_loaded(deployment))
    return list(models.values())


def _loaded(deployment: Deployment) -> Version:
    definition = VersionDefinition(deployment.version, str(deployment.directory))
    version = Version(definition, _now())
    version.ready(SavedModel.load(deployment.directory))
    return version


def _now() -> datetime:
    return datetime.now(UTC)

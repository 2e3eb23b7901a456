"""The parts of the prediction service, put together."""

import asyncio
import os
import random
import sqlite3
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from tf_dataflow_serving.errors import UserError
from tf_dataflow_serving.services.prediction.documents import Documents
from tf_dataflow_serving.services.prediction.errors import (
    AlreadyExists,
    ModelUnusable,
    ResourceError,
    StorageFailed,
)
from tf_dataflow_serving.services.prediction.jobs.archive import JobArchive
from tf_dataflow_serving.services.prediction.jobs.batch_jobs import BatchJobs
from tf_dataflow_serving.services.prediction.jobs.fair_threads import FairThreads
from tf_dataflow_serving.services.prediction.jobs.job import ModelOrigin
from tf_dataflow_serving.services.prediction.jobs.runs import JobRuns, ModelLoader
from tf_dataflow_serving.services.prediction.objects import ObjectStore
from tf_dataflow_serving.services.prediction.operations import OperationFailed, Operations
from tf_dataflow_serving.services.prediction.registry.artifacts import Artifacts
from tf_dataflow_serving.services.prediction.registry.hosting import Hosting, open_hosting
from tf_dataflow_serving.services.prediction.registry.model_documents import ModelDocuments
from tf_dataflow_serving.services.prediction.registry.models import (
    Model,
    ModelDefinition,
    ModelRegistry,
    Version,
    VersionDefinition,
)
from tf_dataflow_serving.services.prediction.serving.saved_model import SavedModel

_CPUS = os.cpu_count() or 1
# Each has its model in memory.
_CONCURRENT_JOBS = 8


class DataDirectoryUnusable(UserError):
    """The service cannot keep its data where it was told to."""


class DeploymentUnusable(UserError):
    """A model that the service is to have from the start cannot be served."""


@dataclass(frozen=True)
class Deployment:
    """A SavedModel in a local directory that is served from the start, to every project."""

    model: str
    version: str
    directory: Path

    def __str__(self) -> str:
        return f"{self.model}:{self.version}={self.directory}"


@dataclass(frozen=True)
class PredictionService:
    """Models, jobs and operations; `predictors` has the threads of online prediction.

    Batch jobs have threads of their own, so that they hold up no online request.
    """

    models: ModelRegistry
    hosting: Hosting
    jobs: BatchJobs
    operations: Operations
    documents: Documents
    artifacts: Artifacts
    predictors: ThreadPoolExecutor

    async def deploy(self, project: str, version: Version) -> None:
        """Load a version from gs:// and let it serve; raises OperationFailed."""
        artifact = ""
        try:
            uri = version.definition.deployment_uri
            artifact = await asyncio.to_thread(self.artifacts.fetch, uri)
            version.ready(await asyncio.to_thread(self.artifacts.load, artifact), artifact)
        except (ResourceError, StorageFailed, ModelUnusable) as error:
            self.artifacts.discard(artifact)
            version.failed(str(error))
            raise OperationFailed(f"Create Version failed. {error}") from error
        finally:
            self.models.save(project)


@asynccontextmanager
async def open_service(
    storage_url: str, deployments: Sequence[Deployment], data_dir: Path | None = None
) -> AsyncIterator[PredictionService]:
    """Load the deployments and yield the service; raises a UserError where it cannot.

    What it holds is kept in `data_dir`, without one nowhere. On leaving, the work on jobs is
    stopped and waited for; with the same `data_dir` it goes on at the next start.
    """
    deployed = await asyncio.to_thread(_deployed, deployments)
    with (
        _kept(data_dir) as (documents, directory),
        ThreadPoolExecutor(_CPUS, "batch-predict") as workers,
        ThreadPoolExecutor(_CPUS, "predict") as predictors,
    ):
        store = ObjectStore(storage_url)
        artifacts = Artifacts(store, directory / "models")
        keeper = ModelDocuments(documents, artifacts.load, deployed)
        models = await asyncio.to_thread(ModelRegistry, _now, keeper, deployed)
        hosting = await asyncio.to_thread(
            open_hosting, documents, artifacts, _now, _draw(), deployed
        )
        artifacts.discard_others(models.artifacts() | hosting.models.artifacts())
        archive = JobArchive(documents, directory / "jobs")
        threads = FairThreads(workers, _CPUS)
        loader = _job_models(artifacts, models, hosting)
        runs = JobRuns(store, loader, archive, threads, _now, time.monotonic)
        jobs = BatchJobs(runs, _CONCURRENT_JOBS, _new_workspace)
        operations = Operations(_now, hosting.new_id)
        try:
            jobs.resume()
            yield PredictionService(
                models, hosting, jobs, operations, documents, artifacts, predictors
            )
        finally:
            await jobs.close()
            await operations.close()


@contextmanager
def _kept(data_dir: Path | None) -> Iterator[tuple[Documents, Path]]:
    """Yield what the service remembers, and the directory for its files."""
    with ExitStack() as leaving:
        if data_dir is None:
            directory = Path(leaving.enter_context(TemporaryDirectory(prefix="prediction-")))
            documents = Documents.in_memory()
        else:
            directory = data_dir
            documents = _documents_in(data_dir)
        leaving.callback(documents.close)
        yield documents, directory


def _job_models(artifacts: Artifacts, models: ModelRegistry, hosting: Hosting) -> ModelLoader:
    """Return what loads a job's model, or has it at hand, by where the model comes from."""
    by_origin: Mapping[ModelOrigin, Callable[..., SavedModel]] = {
        ModelOrigin.STORAGE: artifacts.load_from,
        ModelOrigin.CLOUD_ML_ENGINE: models.serving,
        ModelOrigin.VERTEX_AI: hosting.load,
    }
    return lambda model: by_origin[model.origin](*model.path)


def _documents_in(data_dir: Path) -> Documents:
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        return Documents.in_file(data_dir / "prediction.sqlite")
    except (OSError, sqlite3.Error) as error:
        raise DataDirectoryUnusable(
            f"{data_dir} cannot hold the service's data: {error}"
        ) from error


def _deployed(deployments: Sequence[Deployment]) -> list[Model]:
    models: dict[str, Model] = {}
    for deployment in deployments:
        definition = ModelDefinition(deployment.model)
        model = models.setdefault(deployment.model, Model(definition))
        _deploy_to(model, deployment)
    return list(models.values())


def _deploy_to(model: Model, deployment: Deployment) -> None:
    try:
        model.add(_loaded(deployment))
    except AlreadyExists as error:
        raise DeploymentUnusable(
            f"{deployment} cannot be deployed: the model has this version already, give it another"
            " name."
        ) from error
    except ModelUnusable as error:
        raise DeploymentUnusable(f"{deployment} cannot be deployed: {error}.") from error


def _loaded(deployment: Deployment) -> Version:
    definition = VersionDefinition(deployment.version, str(deployment.directory))
    version = Version(definition, _now())
    version.ready(SavedModel.load(deployment.directory))
    return version


def _draw() -> random.Random:
    """Return what decides between the models on an endpoint: the same after every start."""
    return random.Random(0)  # noqa: S311 - it decides nothing that is secret


def _new_workspace() -> str:
    return uuid.uuid4().hex


def _now() -> datetime:
    return datetime.now(UTC)

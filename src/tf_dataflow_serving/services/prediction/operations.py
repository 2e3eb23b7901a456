"""Long-running operations: what was started, whether it is done, how it ended."""

import asyncio
import itertools
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from tf_dataflow_serving.services.prediction.errors import NotFound

Clock = Callable[[], datetime]
Work = Coroutine[object, object, None]
_log = logging.getLogger(__name__)


class OperationType(StrEnum):
    """What an operation does, as in GoogleCloudMlV1__OperationMetadata.operationType."""

    CREATE_VERSION = "CREATE_VERSION"
    DELETE_VERSION = "DELETE_VERSION"
    DELETE_MODEL = "DELETE_MODEL"


class OperationFailed(Exception):
    """The work of an operation could not be done; the message says why."""


@dataclass
class Operation:
    """One piece of work on a model, or on one of its versions."""

    project: str
    name: str
    kind: OperationType
    model: str
    version: str | None
    created: datetime
    ended: datetime | None = None
    error: str | None = None

    @property
    def done(self) -> bool:
        """Whether the work has ended, well or not."""
        return self.ended is not None


class Operations:
    """All operations since the start of the service."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._operations: dict[tuple[str, str], Operation] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._serial = itertools.count(1)

    def get(self, project: str, name: str) -> Operation:
        """Return an operation; raises NotFound."""
        try:
            return self._operations[project, name]
        except KeyError:
            raise NotFound("name", f'The operation "{name}" was not found.') from None

    def completed(
        self, kind: OperationType, project: str, model: str, version: str | None = None
    ) -> Operation:
        """Record work that took no time."""
        operation = self._record(kind, project, model, version)
        operation.ended = operation.created
        return operation

    def start(
        self, kind: OperationType, project: str, model: str, version: str, work: Work
    ) -> Operation:
        """Do the work in the background; it raises OperationFailed to say that it failed."""
        operation = self._record(kind, project, model, version)
        task = asyncio.create_task(self._run(operation, work))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return operation

    async def close(self) -> None:
        """Wait for the work that is under way."""
        await asyncio.gather(*self._running)

    def _record(
        self, kind: OperationType, project: str, model: str, version: str | None
    ) -> Operation:
        subject = "_".join(part for part in (model, version) if part)
        name = f"{kind.lower()}_{subject}-{next(self._serial)}"
        operation = Operation(project, name, kind, model, version, self._clock())
        self._operations[project, name] = operation
        return operation

    async def _run(self, operation: Operation, work: Work) -> None:
        try:
            await work
        except OperationFailed as error:
            operation.error = str(error)
        except Exception:
            _log.exception("operation %s", operation.name)
            operation.error = "Internal error encountered."
        operation.ended = self._clock()

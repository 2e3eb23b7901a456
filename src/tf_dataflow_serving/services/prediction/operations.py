"""Long-running operations: what was started, whether it is done, how it ended."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tf_dataflow_serving.services.prediction.errors import NotFound

Clock = Callable[[], datetime]
Json = Mapping[str, Any]
Work = Coroutine[object, object, Json]
_log = logging.getLogger(__name__)


class OperationFailed(Exception):
    """The work of an operation could not be done; the message says why."""


@dataclass
class Operation:
    """One piece of work. `metadata` and `response` are what its protocol shows of it."""

    name: str
    metadata: Json
    created: datetime
    ended: datetime | None = None
    error: str | None = None
    response: Json | None = None

    @property
    def done(self) -> bool:
        """Whether the work has ended, well or not."""
        return self.ended is not None


class Operations:
    """All operations since the start of the service, by their full names.

    `new_id` ends their names: one that is used again after a restart would be taken for another.
    """

    def __init__(self, clock: Clock, new_id: Callable[[], str]) -> None:
        self._clock = clock
        self._operations: dict[str, Operation] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._new_id = new_id

    def get(self, name: str) -> Operation:
        """Return an operation; raises NotFound."""
        try:
            return self._operations[name]
        except KeyError:
            raise NotFound("name", f'The operation "{name}" was not found.') from None

    def under(self, prefix: str) -> list[Operation]:
        """Return the operations whose names begin so, the latest first."""
        return [one for one in self._operations.values() if one.name.startswith(prefix)][::-1]

    def delete(self, name: str) -> None:
        """Forget an operation, which goes on if it is under way; raises NotFound."""
        self.get(name)
        del self._operations[name]

    async def wait(self, name: str, seconds: float) -> Operation:
        """Return an operation once it is done, or as it is when the time is over.

        Raises NotFound.
        """
        operation = self.get(name)
        if name in self._running:
            await asyncio.wait([self._running[name]], timeout=seconds)
        return operation

    def completed(self, prefix: str, metadata: Json, response: Json) -> Operation:
        """Record work that took no time; its name is the prefix with a new id behind it."""
        operation = self._record(prefix, metadata)
        operation.response = response
        operation.ended = operation.created
        return operation

    def start(self, prefix: str, metadata: Json, work: Work) -> Operation:
        """Do the work in the background, its result the response.

        The work raises OperationFailed to say that it failed.
        """
        operation = self._record(prefix, metadata)
        task = asyncio.create_task(self._run(operation, work))
        self._running[operation.name] = task
        task.add_done_callback(lambda _: self._running.pop(operation.name))
        return operation

    async def close(self) -> None:
        """Wait for the work that is under way."""
        await asyncio.gather(*self._running.values())

    def _record(self, prefix: str, metadata: Json) -> Operation:
        operation = Operation(f"{prefix}{self._new_id()}", metadata, self._clock())
        self._operations[operation.name] = operation
        return operation

    async def _run(self, operation: Operation, work: Work) -> None:
        try:
            operation.response = await work
        except OperationFailed as error:
            operation.error = str(error)
        except Exception:
            _log.exception("operation %s", operation.name)
            operation.error = "Internal error encountered."
        operation.ended = self._clock()

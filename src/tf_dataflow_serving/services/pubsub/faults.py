"""Failures and delays that a test orders, so that it sees how its subject bears them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import count
from random import Random
from typing import NamedTuple

from tf_dataflow_serving.services.pubsub.errors import InvalidArgument, NotFound

MAX_DELAY_SECONDS = 3_600

METHODS = frozenset(
    {
        "CreateTopic",
        "UpdateTopic",
        "Publish",
        "GetTopic",
        "ListTopics",
        "ListTopicSubscriptions",
        "ListTopicSnapshots",
        "DeleteTopic",
        "DetachSubscription",
        "CreateSubscription",
        "GetSubscription",
        "UpdateSubscription",
        "ListSubscriptions",
        "DeleteSubscription",
        "ModifyAckDeadline",
        "Acknowledge",
        "Pull",
        "StreamingPull",
        "ModifyPushConfig",
        "GetSnapshot",
        "ListSnapshots",
        "CreateSnapshot",
        "UpdateSnapshot",
        "DeleteSnapshot",
        "Seek",
    }
)
"""The methods of Publisher and Subscriber; source: google/pubsub/v1/pubsub.proto."""


class Code(StrEnum):
    """The status codes by which an RPC fails; source: grpc.io/docs/guides/status-codes."""

    CANCELLED = "CANCELLED"
    UNKNOWN = "UNKNOWN"
    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    ABORTED = "ABORTED"
    OUT_OF_RANGE = "OUT_OF_RANGE"
    UNIMPLEMENTED = "UNIMPLEMENTED"
    INTERNAL = "INTERNAL"
    UNAVAILABLE = "UNAVAILABLE"
    DATA_LOSS = "DATA_LOSS"
    UNAUTHENTICATED = "UNAUTHENTICATED"


@dataclass(frozen=True)
class Fault:
    """Makes calls of one method wait, then fail with `code`; without a code they go on.

    It strikes `count` times, or until it is removed; each time with this probability.
    """

    method: str
    code: Code | None = None
    message: str = "Injected fault."
    delay_seconds: float = 0.0
    count: int | None = None
    probability: float = 1.0

    def check(self) -> None:
        """Raise InvalidArgument for a value that makes no sense."""
        if self.method not in METHODS:
            raise InvalidArgument(f"method: Pub/Sub has no method {self.method!r}.")
        if not 0 <= self.delay_seconds <= MAX_DELAY_SECONDS:
            raise InvalidArgument(f"delay_seconds must be from 0 to {MAX_DELAY_SECONDS}.")
        if self.code is None and not self.delay_seconds:
            raise InvalidArgument("code or delay_seconds is required.")
        if self.count is not None and self.count < 1:
            raise InvalidArgument("count must be at least 1.")
        if not 0 < self.probability <= 1:
            raise InvalidArgument("probability must be above 0 and at most 1.")


class InjectedFault(NamedTuple):
    """A fault in force, or one that has struck its last time; `struck` says how often it did."""

    id: int
    fault: Fault
    struck: int


class Faults:
    """The faults in force. `random` decides about those with a probability below 1."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._ids = count(1)
        self._faults: dict[int, Fault] = {}
        self._struck: dict[int, int] = {}

    def add(self, fault: Fault) -> int:
        """Put a fault into force and return its ID; raises InvalidArgument."""
        fault.check()
        fault_id = next(self._ids)
        self._faults[fault_id] = fault
        self._struck[fault_id] = 0
        return fault_id

    def remove(self, fault_id: int) -> None:
        """Forget a fault; raises NotFound."""
        if self._faults.pop(fault_id, None) is None:
            raise NotFound(f"faults/{fault_id}")
        del self._struck[fault_id]

    def clear(self) -> None:
        """Forget all faults."""
        self._faults.clear()
        self._struck.clear()

    def injected(self) -> Sequence[InjectedFault]:
        """Return all faults in the order in which they were added."""
        return [
            InjectedFault(fault_id, fault, self._struck[fault_id])
            for fault_id, fault in self._faults.items()
        ]

    def strike(self, method: str) -> Fault | None:
        """Return what this call of a method must suffer: at most one fault, the oldest first."""
        for fault_id, fault in self._faults.items():
            if fault.method == method and self._hits(fault_id, fault):
                self._struck[fault_id] += 1
                return fault
        return None

    def _hits(self, fault_id: int, fault: Fault) -> bool:
        left = math.inf if fault.count is None else fault.count - self._struck[fault_id]
        return left > 0 and self._random.random() < fault.probability

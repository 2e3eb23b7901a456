"""The Python client of the control endpoint, for tests of what uses Pub/Sub.

    with PubSubControl("http://127.0.0.1:8086") as control:
        with control.inject("Publish", code="UNAVAILABLE", count=2):
            my_service.handle_order(order)
        control.wait_until_acknowledged("projects/p/subscriptions/orders")
        (message,) = control.messages(topic="projects/p/topics/invoices")
        assert message.attributes["order"] == order.id

Every call raises ControlFailed if the emulator does not answer, or refuses.
"""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

import httpx

from tf_dataflow_serving.errors import UserError

TIMEOUT_SECONDS = 30.0


class ControlFailed(UserError):
    """The emulator did not do what was asked; the text says why."""


class NotAcknowledged(UserError):
    """Messages were still pending when the time was up; `pending` counts them by subscription."""

    def __init__(self, pending: Mapping[str, int], seconds: float) -> None:
        counts = ", ".join(f"{count} of {name}" for name, count in pending.items())
        super().__init__(f"not acknowledged after {seconds:g} seconds: {counts}")
        self.pending = pending


@dataclass(frozen=True)
class Progress:
    """How far a message is on one subscription.

    `deliveries` counts how often it was delivered, `extensions` how often the lease of a
    delivery was extended; `acknowledged` is about the last delivery.
    """

    deliveries: int
    extensions: int
    acknowledged: bool


@dataclass(frozen=True)
class PublishedMessage:
    """A message, and its progress by the names of the subscriptions that delivered it."""

    topic: str
    message_id: str
    publish_time: datetime
    data: bytes
    attributes: Mapping[str, str]
    ordering_key: str
    subscriptions: Mapping[str, Progress]


@dataclass(frozen=True)
class PublishedMessages:
    """Messages in the order of their publication: iterate over them, or take their `len`.

    `forgotten` counts older messages, of any topic, that the emulator knows no more.
    """

    messages: tuple[PublishedMessage, ...]
    forgotten: int

    def __iter__(self) -> Iterator[PublishedMessage]:
        return iter(self.messages)

    def __len__(self) -> int:
        return len(self.messages)


@dataclass(frozen=True)
class SubscriptionState:
    """What a subscription owes: all that is `unacknowledged`, of which some is `out` now."""

    name: str
    topic: str
    unacknowledged: int
    out: int


@dataclass(frozen=True)
class InjectedFault:
    """A fault, and how often it has struck; the other fields are those of `inject`."""

    id: int
    method: str
    code: str | None
    message: str
    delay_seconds: float
    count: int | None
    probability: float
    struck: int


@dataclass(frozen=True)
class Injection:
    """A fault in force; as a context manager it is removed on leaving."""

    control: "PubSubControl"
    id: int

    def remove(self) -> None:
        """End the fault."""
        self.control.remove_fault(self.id)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


class PubSubControl:
    """Looks into an emulator and steers it; use it as a context manager, or `close` it.

    `url` is that of the emulator's control endpoint, the port that it announces as "http".
    """

    def __init__(self, url: str) -> None:
        # A proxy has no business between this process and an emulator beside it.
        self._http = httpx.Client(base_url=url, timeout=TIMEOUT_SECONDS, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connections."""
        self._http.close()

    def messages(self, topic: str = "", subscription: str = "") -> PublishedMessages:
        """Return what was published on a topic, or delivered on a subscription; by default all.

        With a subscription, its progress alone is given.
        """
        query = {"topic": topic, "subscription": subscription}
        found: list[PublishedMessage] = []
        token = ""
        while True:
            page = self._call("GET", "/v1/messages", params={**query, "page_token": token})
            found.extend(map(_message, page["messages"]))
            token = page["next_page_token"]
            if not token:
                return PublishedMessages(tuple(found), page["forgotten"])

    def clear(self, subscription: str = "") -> None:
        """Drop what one subscription owes; by default what all owe, and forget all messages.

        Topics and subscriptions stay, so that each test can begin with an empty emulator.
        """
        self._call("DELETE", "/v1/messages", params={"subscription": subscription})

    def subscriptions(self) -> list[SubscriptionState]:
        """Return all subscriptions and what they owe."""
        answer = self._call("GET", "/v1/subscriptions")
        return [SubscriptionState(**one) for one in answer["subscriptions"]]

    def wait_until_acknowledged(self, subscription: str = "", timeout: float = 30.0) -> None:
        """Wait until a subscription, by default every one, has nothing unacknowledged.

        Raises NotAcknowledged after `timeout` seconds, at most 3600.
        """
        order = {"subscription": subscription, "timeout_seconds": timeout}
        answer = self._call("POST", "/v1/wait", json=order, timeout=timeout + TIMEOUT_SECONDS)
        if not answer["acknowledged"]:
            raise NotAcknowledged(answer["pending"], timeout)

    def inject(  # noqa: PLR0913 - each is a field of the fault
        self,
        method: str,
        *,
        code: str | None = None,
        message: str | None = None,
        delay: float = 0.0,
        count: int | None = None,
        probability: float = 1.0,
    ) -> Injection:
        """Let calls of a method, "Publish" say, wait `delay` seconds and then fail with `code`.

        Without a code they are only late. It happens `count` times, by default until the
        fault is removed, each time with this probability. A stream is struck when it opens.
        """
        order = {
            "method": method,
            "code": code,
            "message": message,
            "delay_seconds": delay,
            "count": count,
            "probability": probability,
        }
        return Injection(self, self._call("POST", "/v1/faults", json=order)["id"])

    def faults(self) -> list[InjectedFault]:
        """Return all faults that were not removed, spent ones too."""
        return [InjectedFault(**one) for one in self._call("GET", "/v1/faults")["faults"]]

    def remove_fault(self, fault_id: int) -> None:
        """End one fault."""
        self._call("DELETE", f"/v1/faults/{fault_id}")

    def remove_faults(self) -> None:
        """End all faults."""
        self._call("DELETE", "/v1/faults")

    def now(self) -> datetime:
        """Return the emulator's time."""
        return _time(self._call("GET", "/v1/clock")["now"])

    def advance_clock(self, seconds: float) -> datetime:
        """Move the emulator's time forward; return it when all that became due has happened.

        Leases end, retries and snapshots fall due, what is retained expires. A lease ends up
        to 0.1 seconds late: advance by a second more than it lasts.
        """
        return _time(self._call("POST", "/v1/clock", json={"advance_seconds": seconds})["now"])

    def _call(self, method: str, path: str, **options: Any) -> Any:
        try:
            response = self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            address = self._http.base_url
            raise ControlFailed(f"the Pub/Sub emulator at {address} failed: {error}") from error
        if response.is_error:
            raise ControlFailed(_reason(response))
        return response.json()


def _reason(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"unexpected answer from {response.url}: status {response.status_code}"


def _message(fields: dict[str, Any]) -> PublishedMessage:
    progress = {name: Progress(**one) for name, one in fields["subscriptions"].items()}
    return PublishedMessage(
        topic=fields["topic"],
        message_id=fields["message_id"],
        publish_time=_time(fields["publish_time"]),
        data=base64.b64decode(fields["data"]),
        attributes=fields["attributes"],
        ordering_key=fields["ordering_key"],
        subscriptions=progress,
    )


def _time(text: str) -> datetime:
    """Read an RFC 3339 time, to the microsecond."""
    return datetime.fromisoformat(text)

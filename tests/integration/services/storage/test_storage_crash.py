"""A service with a data directory that is killed again and again while objects change.

Every actor has a bucket of its own, and knows what must be in it: what all answered requests
have made of it, or that and the whole effect of the one that was not answered.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import httpx

from ..kills import Start, check_that_answers_outlive_kills, new_chance

ACTORS = 4
ROUNDS = 8
MOST_ANSWERS = 150
CHUNK = 256 * 1024
NAMES = ("a", "a/b", "c")

Send = Callable[[httpx.Client], httpx.Response]


@dataclass(frozen=True)
class Held:
    """What an object holds, and its custom metadata."""

    content: bytes
    note: str = ""


@dataclass(frozen=True)
class State:
    """The objects of a bucket by name; `exists` tells whether there is a bucket at all."""

    exists: bool = True
    objects: tuple[tuple[str, Held], ...] = ()

    def having(self, name: str, held: Held) -> "State":
        return replace(self, objects=tuple(sorted({**dict(self.objects), name: held}.items())))

    def lacking(self, *names: str) -> "State":
        left = tuple(pair for pair in self.objects if pair[0] not in names)
        return replace(self, objects=left)


class Actor:
    """Changes one bucket, a request at a time."""

    def __init__(self, number: int, chance: random.Random) -> None:
        self.bucket = f"bucket-{number}"
        self.path = f"/storage/v1/b/{self.bucket}"
        self.chance = chance
        self.state = State(exists=False)
        self.possible = self.state
        self.generations: dict[str, int] = {}
        self.last_generation = 0
        self.upload: tuple[str, str, bytes, int] | None = None
        self.notes = 0

    def run(self, client: httpx.Client, answered: Callable[[], None]) -> None:
        """Go on until the service is gone."""
        while True:
            try:
                self.step(client)
            except httpx.TransportError:
                return
            answered()

    def step(self, client: httpx.Client) -> None:
        if not self.state.exists:
            send = partial(post, "/storage/v1/b?project=p", {"name": self.bucket})
            return self.perform(client, send, State())
        steps = [self.put, self.put, self.put_related, self.begin_upload, self.continue_upload]
        if self.state.objects:
            steps += [self.delete, self.describe, self.compose, self.rewrite, self.overwrite]
        elif self.chance.random() < 0.3:
            steps = [self.delete_bucket]
        return self.chance.choice(steps)(client)

    def perform(self, client: httpx.Client, send: Send, after: State, name: str = "") -> None:
        """Send a request that changes the bucket, and note what it answers."""
        self.possible = after
        response = send(client)
        assert response.is_success, response.text
        self.state = after
        if name:
            self.note_generation(name, response.json())

    def note_generation(self, name: str, answer: dict[str, Any]) -> None:
        generation = int(answer.get("resource", answer)["generation"])
        assert generation > self.last_generation, "generations only rise"
        self.generations[name] = self.last_generation = generation

    def put(self, client: httpx.Client) -> None:
        name, content = self.chance.choice(NAMES), self.content()
        path = f"/upload{self.path}/o?uploadType=media&name={name}"
        after = self.state.having(name, Held(content))
        self.perform(client, lambda client: client.post(path, content=content), after, name)

    def put_related(self, client: httpx.Client) -> None:
        name, held = self.chance.choice(NAMES), Held(self.content(), self.new_note())
        resource = b'{"name": "%s", "metadata": {"note": "%s"}}' % (
            name.encode(),
            held.note.encode(),
        )
        body = b"".join(
            b"--part\r\nContent-Type: application/json\r\n\r\n%s\r\n" % part
            for part in (resource, held.content)
        )
        headers = {"content-type": "multipart/related; boundary=part"}
        path = f"/upload{self.path}/o?uploadType=multipart"
        content = body + b"--part--\r\n"
        after = self.state.having(name, held)
        send = partial(httpx.Client.post, url=path, content=content, headers=headers)
        self.perform(client, send, after, name)

    def overwrite(self, client: httpx.Client) -> None:
        """Replace an object on the condition that it is the one we know."""
        name, content = self.some_object()[0], self.content()
        condition = f"ifGenerationMatch={self.generations[name]}"
        path = f"/upload{self.path}/o?uploadType=media&name={name}&{condition}"
        after = self.state.having(name, Held(content))
        self.perform(client, lambda client: client.post(path, content=content), after, name)

    def delete(self, client: httpx.Client) -> None:
        name = self.some_object()[0]
        path = f"{self.path}/o/{name.replace('/', '%2F')}"
        self.perform(client, lambda client: client.delete(path), self.state.lacking(name))

    def describe(self, client: httpx.Client) -> None:
        (name, held), note = self.some_object(), self.new_note()
        path = f"{self.path}/o/{name.replace('/', '%2F')}"
        body = {"metadata": {"note": note}}
        after = self.state.having(name, replace(held, note=note))
        self.perform(client, lambda client: client.patch(path, json=body), after)

    def compose(self, client: httpx.Client) -> None:
        parts = [self.some_object() for _ in range(2)]
        content = b"".join(held.content for _, held in parts)
        if len(content) > 4 * CHUNK:
            return self.delete(client)
        body = {"sourceObjects": [{"name": name} for name, _ in parts], "destination": {}}
        after = self.state.having("composed", Held(content))
        send = partial(post, f"{self.path}/o/composed/compose", body)
        return self.perform(client, send, after, "composed")

    def rewrite(self, client: httpx.Client) -> None:
        name, held = self.some_object()
        source = name.replace("/", "%2F")
        send = partial(post, f"{self.path}/o/{source}/rewriteTo/b/{self.bucket}/o/copy", {})
        self.perform(client, send, self.state.having("copy", held), "copy")

    def delete_bucket(self, client: httpx.Client) -> None:
        self.upload = None
        self.perform(client, lambda client: client.delete(self.path), State(exists=False))

    def begin_upload(self, client: httpx.Client) -> None:
        """Start an upload of several chunks; what is there of an earlier one is left behind."""
        path = f"/upload{self.path}/o?uploadType=resumable&name=uploaded"
        location = httpx.URL(client.post(path).raise_for_status().headers["location"])
        content = self.chance.randbytes(self.chance.randrange(CHUNK, 4 * CHUNK))
        self.upload = (location.raw_path.decode(), "uploaded", content, 0)

    def continue_upload(self, client: httpx.Client) -> None:
        if self.upload is None:
            return self.begin_upload(client)
        path, name, content, kept = self.upload
        end = min(kept + CHUNK, len(content))
        is_last = end == len(content)
        span = f"bytes {kept}-{end - 1}/{len(content) if is_last else '*'}"
        send = partial(
            httpx.Client.put, url=path, content=content[kept:end], headers={"content-range": span}
        )
        if is_last:
            self.perform(client, send, self.state.having(name, Held(content)), name)
            self.upload = None
            return None
        assert send(client).status_code == 308
        self.upload = (path, name, content, end)
        return None

    def settle(self, client: httpx.Client) -> None:
        """Compare what a new service has with what must be there."""
        found = observed(client, self.path)
        assert found in (self.state, self.possible)
        self.state = self.possible = found
        if found.exists:
            listing = client.get(f"{self.path}/o").raise_for_status().json().get("items", ())
            self.generations = {item["name"]: int(item["generation"]) for item in listing}
            self.last_generation = max([self.last_generation, *self.generations.values()])
        self.settle_upload(client)

    def settle_upload(self, client: httpx.Client) -> None:
        """An upload goes on at least where it was answered to be."""
        if self.upload is None or not self.state.exists:
            self.upload = None
            return
        path, name, content, kept = self.upload
        status = client.put(path, headers={"content-range": "bytes */*"})
        if status.is_success:
            assert dict(self.state.objects)[name].content == content
            self.upload = None
            return
        assert status.status_code == 308, status.text
        persisted = int(status.headers.get("range", "bytes=0--1").rpartition("-")[2]) + 1
        persisted = persisted if "range" in status.headers else 0
        assert persisted >= kept
        self.upload = (path, name, content, persisted)

    def some_object(self) -> tuple[str, Held]:
        return self.chance.choice(self.state.objects)

    def content(self) -> bytes:
        return self.chance.randbytes(self.chance.randrange(self.chance.choice([10, 1000, CHUNK])))

    def new_note(self) -> str:
        self.notes += 1
        return f"note {self.notes}"


def post(path: str, body: Any, client: httpx.Client) -> httpx.Response:
    return client.post(path, json=body)


def observed(client: httpx.Client, path: str) -> State:
    """What a client finds in a bucket."""
    if client.get(path).status_code == httpx.codes.NOT_FOUND:
        return State(exists=False)
    listing = client.get(f"{path}/o").raise_for_status().json().get("items", ())
    return State(objects=tuple((item["name"], held(client, path, item)) for item in listing))


def held(client: httpx.Client, path: str, item: dict[str, Any]) -> Held:
    name = item["name"].replace("/", "%2F")
    content = client.get(f"/download{path}/o/{name}?alt=media").raise_for_status().content
    assert int(item["size"]) == len(content)
    return Held(content, item.get("metadata", {}).get("note", ""))


def test_what_was_answered_holds_however_often_the_service_is_killed(start: Start) -> None:
    chance = new_chance()
    actors = [Actor(number, random.Random(chance.random())) for number in range(ACTORS)]
    check_that_answers_outlive_kills(start, actors, chance, ROUNDS, MOST_ANSWERS)

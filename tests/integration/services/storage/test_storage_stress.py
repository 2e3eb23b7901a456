"""Sixteen threads change and read one bucket at once; every answer must be right."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from google.api_core.exceptions import NotFound, PreconditionFailed
from google.cloud import storage

THREADS = 16
STEPS = 60
INCREMENTS = 5
MOST_BYTES = 300_000
# The smallest that a resumable upload may be cut into.
CHUNK = 256 * 1024
NAMES = ("a", "b/c", "b/d e", "ü")
COUNTER = "counter"
TIMEOUT = 60.0


def refuse_server_errors(response: Any, *_: object, **__: object) -> None:
    """Clients would try again, and nobody would know."""
    assert response.status_code < 500, response.text


class Worker:
    """One thread's client; it alone changes what is below its prefix, and knows what is there."""

    def __init__(self, client: storage.Client, bucket: str, number: int) -> None:
        client._http.hooks["response"].append(refuse_server_errors)
        self.client = client
        self.bucket = client.bucket(bucket)
        self.prefix = f"thread-{number}/"
        self.random = random.Random(number)
        self.held: dict[str, bytes] = {}
        self.generations: dict[str, int] = {}

    def run(self) -> None:
        steps = self.steps()
        for step in range(STEPS):
            if step % (STEPS // INCREMENTS) == 0:
                self.increment()
            self.random.choice(steps)()
        self.check_all()

    def steps(self) -> list[Callable[[], None]]:
        writing = [self.put_media, self.put_related, self.put_resumable, self.replace_known]
        writing += [self.replace_another, self.create_only, self.compose, self.copy, self.delete]
        return [*writing, self.read, self.read_range, self.read_range, self.list_names]

    # What writes

    def put_media(self) -> None:
        name, content = self.some_name(), self.content()
        url = f"{self.client._connection.API_BASE_URL}/upload/storage/v1/b/{self.bucket.name}/o"
        query = {"uploadType": "media", "name": name}
        answer = self.client._http.post(url, params=query, data=content, timeout=TIMEOUT)
        answer.raise_for_status()
        self.note(name, content, int(answer.json()["generation"]))

    def put_related(self) -> None:
        self.put(self.some_name(), self.content())

    def put_resumable(self) -> None:
        name = self.some_name()
        content = self.random.randbytes(self.random.randrange(1, 3 * CHUNK))
        blob = self.bucket.blob(name, chunk_size=CHUNK)
        with blob.open("wb", chunk_size=CHUNK, ignore_flush=True, timeout=TIMEOUT) as file:
            file.write(content)
        self.note(name, content, int(self.found(name).generation))

    def replace_known(self) -> None:
        name = self.some_name()
        self.put(name, self.content(), self.generations.get(name, 0))

    def replace_another(self) -> None:
        """A condition that does not hold: nothing changes."""
        name = self.some_name()
        with pytest.raises(PreconditionFailed):
            self.put(name, b"never", self.generations.get(name, 0) + 1)
        self.check(name)

    def create_only(self) -> None:
        name = self.some_name()
        if name in self.held:
            with pytest.raises(PreconditionFailed):
                self.put(name, b"never", 0)
        else:
            self.put(name, self.content(), 0)

    def compose(self) -> None:
        parts = self.random.choices(sorted(self.held), k=2) if self.held else []
        content = b"".join(self.held[part] for part in parts)
        if not parts or len(content) > 4 * CHUNK:
            return
        blob = self.bucket.blob(self.prefix + "composed")
        blob.compose([self.bucket.blob(part) for part in parts], timeout=TIMEOUT)
        self.note(blob.name, content, blob.generation)

    def copy(self) -> None:
        if self.held:
            source = self.random.choice(sorted(self.held))
            target = self.bucket.blob(self.prefix + "copied")
            target.rewrite(self.bucket.blob(source), timeout=TIMEOUT)
            self.note(target.name, self.held[source], target.generation)

    def delete(self) -> None:
        name = self.some_name()
        if self.held.pop(name, None) is None:
            with pytest.raises(NotFound):
                self.bucket.blob(name).delete(timeout=TIMEOUT)
        else:
            known = self.generations.pop(name)
            self.bucket.blob(name).delete(if_generation_match=known, timeout=TIMEOUT)

    def increment(self) -> None:
        """Add one to what all threads add to, as often as another was faster."""
        while True:
            blob = self.found(COUNTER)
            known = blob.generation
            try:
                number = int(blob.download_as_bytes(timeout=TIMEOUT)) + 1
                blob.upload_from_string(str(number), if_generation_match=known, timeout=TIMEOUT)
            except (PreconditionFailed, NotFound):
                # NotFound: the generation that was to be read is gone.
                continue
            return

    # What reads

    def read(self) -> None:
        self.check(self.some_name())

    def read_range(self) -> None:
        if not self.held:
            return
        name = self.random.choice(sorted(self.held))
        content = self.held[name]
        if content:
            first = self.random.randrange(len(content))
            last = self.random.randrange(first, len(content))
            blob = self.bucket.blob(name)
            found = blob.download_as_bytes(start=first, end=last, timeout=TIMEOUT)
            assert found == content[first : last + 1]

    def list_names(self) -> None:
        size = self.random.randint(1, 5)
        found = self.client.list_blobs(
            self.bucket, prefix=self.prefix, page_size=size, timeout=TIMEOUT
        )
        sizes = {blob.name: (blob.size, blob.generation) for blob in found}
        known = {name: (len(self.held[name]), self.generations[name]) for name in self.held}
        assert sizes == known

    def check(self, name: str) -> None:
        blob = self.bucket.blob(name)
        if name in self.held:
            assert blob.download_as_bytes(timeout=TIMEOUT) == self.held[name]
        else:
            with pytest.raises(NotFound):
                blob.download_as_bytes(timeout=TIMEOUT)

    def check_all(self) -> None:
        self.list_names()
        for name in self.held:
            self.check(name)

    # Helpers

    def put(self, name: str, content: bytes, known: int | None = None) -> None:
        blob = self.bucket.blob(name)
        blob.upload_from_string(content, if_generation_match=known, timeout=TIMEOUT)
        self.note(name, content, blob.generation)

    def note(self, name: str, content: bytes, generation: int) -> None:
        assert generation > self.generations.get(name, 0), "generations only rise"
        self.held[name], self.generations[name] = content, generation

    def found(self, name: str) -> storage.Blob:
        blob = self.bucket.get_blob(name, timeout=TIMEOUT)
        assert blob is not None
        return blob

    def some_name(self) -> str:
        return self.prefix + self.random.choice(NAMES)

    def content(self) -> bytes:
        return self.random.randbytes(
            self.random.randrange(self.random.choice([1, 1_000, MOST_BYTES]))
        )


def test_every_answer_is_right(
    new_client: Callable[[], storage.Client], bucket: storage.Bucket
) -> None:
    bucket.blob(COUNTER).upload_from_string("0")
    workers = [Worker(new_client(), bucket.name, number) for number in range(THREADS)]
    with ThreadPoolExecutor(THREADS) as threads:
        for running in [threads.submit(worker.run) for worker in workers]:
            running.result()
    assert bucket.blob(COUNTER).download_as_bytes() == str(THREADS * INCREMENTS).encode()
    names = {blob.name for blob in bucket.list_blobs()} - {COUNTER}
    assert names == {name for worker in workers for name in worker.held}

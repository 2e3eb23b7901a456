"""Small servers that are no service of anybody."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import grpc
import pytest


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def http_port() -> Iterator[int]:
    """An HTTP server that knows no path."""
    with serving(BaseHTTPRequestHandler) as port:
        yield port


@pytest.fixture(scope="module")
def grpc_port() -> Iterator[int]:
    """A gRPC server that knows no method."""
    server = grpc.server(thread_pool=None)  # type: ignore[arg-type]
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield port
    server.stop(None).wait(10)

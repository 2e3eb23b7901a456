"""A prediction service in this process that fails on purpose, over real sockets."""

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Instances = list[dict[str, float]]


def births(count: int) -> Instances:
    """Return instances that are told apart by their plurality, of which this makes estimates."""
    return [{"plurality": float(index)} for index in range(count)]


class Exchange(BaseHTTPRequestHandler):
    """One request, and the ways to deal with it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.deal_with(self, json.loads(body)["instances"])

    def answer(self, status: int, content: object, headers: dict[str, str] | None = None) -> None:
        self.send(status, json.dumps(content).encode(), headers)

    def send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def predict(self, instances: Instances) -> None:
        """Answer as the protocol of the path does."""
        self.server.answered.append(instances)
        weights = [[instance["plurality"]] for instance in instances]
        if "/endpoints/" in self.path:
            self.answer(200, {"predictions": weights, "deployedModelId": "1"})
        else:
            self.answer(200, {"predictions": [{"predictions": weight} for weight in weights]})

    def refuse(self, status: int, headers: dict[str, str] | None = None, state: str = "") -> None:
        error = {"code": status, "message": "on purpose", "status": state}
        self.answer(status, {"error": error}, headers)

    def reset(self) -> None:
        # A linger of 0 s makes close() send RST.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def truncate(self) -> None:
        """Promise more than comes."""
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b'{"predictions": [')
        self.close_connection = True

    def end_early(self) -> None:
        """Let the end of the connection be that of half a body."""
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b'{"predictions": [')
        self.close_connection = True

    def drip(self, end: threading.Event) -> None:
        """Send a body that does not stop coming until the event is set or the client leaves."""
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        self.close_connection = True
        try:
            while not end.wait(0.01):
                self.wfile.write(b" ")
        except OSError:
            return

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


Step = Callable[[Exchange, Instances], None]


class FaultyServer(ThreadingHTTPServer):
    """Deals, request by request, as `script` says, and as `otherwise` says at its end.

    `requests` has all that came, `answered` those that got predictions.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Exchange, bind_and_activate=False)
        self.script: list[Step] = []
        self.otherwise: Step = Exchange.predict
        self.requests: list[Instances] = []
        self.answered: list[Instances] = []
        self.lock = threading.Lock()
        self.server_bind()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def open(self) -> None:
        """Let connections in, which are refused before."""
        self.server_activate()

    def handle_error(self, *_: object) -> None:
        """A reset connection is what the test wants."""

    def deal_with(self, exchange: Exchange, instances: Instances) -> None:
        with self.lock:
            self.requests.append(instances)
            step = self.script.pop(0) if self.script else self.otherwise
        step(exchange, instances)


@contextmanager
def closed_server() -> Iterator[FaultyServer]:
    """Yield a server with a port, at which connections are refused until it is opened."""
    with FaultyServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(30)

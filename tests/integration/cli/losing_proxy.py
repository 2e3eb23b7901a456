"""A proxy that passes requests on, and loses the answers that it is told to."""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx

_TIMEOUT = 60.0


class _Exchange(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._deal_with(b"")

    def do_POST(self) -> None:
        self._deal_with(self.rfile.read(int(self.headers["Content-Length"])))

    def _deal_with(self, body: bytes) -> None:
        if self._is_next(self.server.refused):
            self._answer(403, b'{"error": {"code": 403, "message": "not today"}}')
            return
        passed = self.server.client.request(self.command, self.path, content=body)
        if self._is_next(self.server.lost):
            self._reset()
        else:
            self._answer(passed.status_code, passed.content)

    def _is_next(self, ends: list[str]) -> bool:
        """Say whether the request is one of those, each of which is meant once."""
        named = [end for end in ends if self.command == "POST" and self.path.endswith(end)]
        for end in named:
            ends.remove(end)
        return bool(named)

    def _reset(self) -> None:
        # A linger of 0 s makes close() send RST.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


class LosingProxy(ThreadingHTTPServer):
    """Stands before the service at `url`.

    `lost` has ends of the paths of POSTs whose next answer is lost, `refused` those of POSTs that
    do not get through but are refused.
    """

    daemon_threads = True

    def __init__(self, url: str) -> None:
        super().__init__(("127.0.0.1", 0), _Exchange)
        self.client = httpx.Client(base_url=url, timeout=_TIMEOUT, trust_env=False)
        self.lost: list[str] = []
        self.refused: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: object) -> None:
        """A reset connection is what the test wants."""


@contextmanager
def losing_proxy(url: str) -> Iterator[LosingProxy]:
    """Yield a proxy that runs."""
    with LosingProxy(url) as proxy, proxy.client:
        thread = Thread(target=proxy.serve_forever, args=[0.01])
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join(30)

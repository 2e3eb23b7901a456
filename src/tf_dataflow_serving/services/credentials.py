"""Credentials that every Google client accepts, and that lead nowhere but to this process."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tf_dataflow_serving.services.child import LOOPBACK

_TOKEN = json.dumps({"access_token": "local", "token_type": "Bearer", "expires_in": 3600}).encode()
_MAX_REQUEST_BYTES = 64 * 1024


@contextmanager
def local_credentials(directory: Path, project: str) -> Iterator[Path]:
    """Write a service-account file whose token endpoint is served for as long as this lasts.

    Its key is new and known to nobody. Its e-mail address is empty: with one, google-auth asks
    Google in the background where the account may be used (its regional access boundary).
    """
    server = _TokenServer((LOOPBACK, 0), _TokenHandler)
    thread = threading.Thread(target=server.serve_forever, name="token-endpoint", daemon=True)
    thread.start()
    try:
        path = directory / "credentials.json"
        path.touch(mode=0o600)
        path.chmod(0o600)
        path.write_text(json.dumps(_account(project, server.server_port)))
        yield path
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _account(project: str, port: int) -> dict[str, str]:
    """Return a service account as google-auth reads it (google/oauth2/service_account.py)."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return {
        "type": "service_account",
        "project_id": project,
        "private_key_id": "local",
        "private_key": key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode(),
        "client_email": "",
        "token_uri": f"http://{LOOPBACK}:{port}/token",
    }


class _TokenServer(ThreadingHTTPServer):
    """A server that looks no name up, not even its own."""

    def server_bind(self) -> None:
        """Take the address."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = LOOPBACK, self.server_address[1]


class _TokenHandler(BaseHTTPRequestHandler):
    """Gives the same token to whoever asks (RFC 7523, section 2.1).

    Each connection ends with its answer (HTTP/1.0), and its thread with it.
    """

    timeout = 10

    def do_POST(self) -> None:
        """Answer a request for a token."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            self.send_error(411)
            return
        if int(length) > _MAX_REQUEST_BYTES:
            self.send_error(413)
            return
        self.rfile.read(int(length))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(_TOKEN)))
        self.end_headers()
        self.wfile.write(_TOKEN)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing: a token is no event for a user."""

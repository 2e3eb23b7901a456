"""Finds out, before anything starts, whether services answer."""

import socket
from dataclasses import asdict
from urllib.parse import urlsplit

from tf_dataflow_serving.errors import UserError
from tf_dataflow_serving.services.endpoints import Endpoints

TIMEOUT_SECONDS = 2.0
_NOT_SERVICES = ("project", "credentials")


class ServiceDown(UserError):
    """Nothing answers at a service's address."""


def require_answers(endpoints: Endpoints) -> None:
    """Raise ServiceDown, naming it, for the first service that accepts no connection."""
    for name, address in asdict(endpoints).items():
        if name not in _NOT_SERVICES:
            require_answer(name, address)


def require_answer(name: str, address: str) -> None:
    """Raise ServiceDown unless the URL or host:port accepts a connection."""
    parts = urlsplit(address if "//" in address else f"//{address}")
    host, port = parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((host or "", port), TIMEOUT_SECONDS).close()
    except OSError as error:
        raise ServiceDown(f"{name} does not answer at {address}: {error.strerror}") from error

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tf_dataflow_serving.services.probe import ServiceDown, require_answer


@contextmanager
def greeter(greeting: bytes) -> Iterator[int]:
    """A server that says one thing to one client."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with listener.accept()[0] as connection:
                connection.sendall(greeting)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def test_an_http_service_answers(http_port: int) -> None:
    require_answer("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{http_port}")


def test_a_grpc_service_answers(grpc_port: int) -> None:
    require_answer("PUBSUB_EMULATOR_HOST", f"127.0.0.1:{grpc_port}")


def test_services_that_were_mixed_up_are_named(http_port: int, grpc_port: int) -> None:
    with pytest.raises(ServiceDown, match=r"PUBSUB_EMULATOR_HOST.* does not speak gRPC"):
        require_answer("PUBSUB_EMULATOR_HOST", f"127.0.0.1:{http_port}")
    with pytest.raises(ServiceDown, match="STORAGE_EMULATOR_HOST"):
        require_answer("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{grpc_port}")


def test_something_else_that_listens_is_no_service() -> None:
    with greeter(b"220 mail\r\n") as port, pytest.raises(ServiceDown, match="not speak HTTP"):
        require_answer("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "http://127.0.0.1:{}"])
def test_a_closed_port_is_named_with_its_service(form: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        place = form.format(listener.getsockname()[1])
    with pytest.raises(ServiceDown, match=f"NAME: nothing answers at {place}: Connection refused"):
        require_answer("NAME", place)


@pytest.mark.parametrize("place", ["nonsense", "http://", "http://host:port", "127.0.0.1:x"])
def test_what_is_no_address(place: str) -> None:
    with pytest.raises(ServiceDown, match="NAME"):
        require_answer("NAME", place)

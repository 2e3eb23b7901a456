import socket

import pytest

from tf_dataflow_serving.services.probe import ServiceDown, require_answer


def test_a_listening_port_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        require_answer("pubsub", f"127.0.0.1:{port}")
        require_answer("storage", f"http://127.0.0.1:{port}")
        assert listener.accept()[1][0] == "127.0.0.1"


def test_a_closed_port_is_named_with_its_service() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(ServiceDown, match=f"storage does not answer at {address}"):
        require_answer("storage", address)

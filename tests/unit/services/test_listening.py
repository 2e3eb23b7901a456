"""Where services listen: the flags' words, the refusal outside a container, taken ports."""

import argparse
import socket

import pytest

from tf_dataflow_serving.services.listening import (
    FIXED_PORTS,
    Host,
    Listening,
    Port,
    PortRefused,
    in_container,
    named_host,
    named_ports,
)


def test_a_container_is_one_that_says_so() -> None:
    assert in_container({"DATAFLOW_SERVING_CONTAINER": "1"})
    assert not in_container({"DATAFLOW_SERVING_CONTAINER": ""})
    assert not in_container({"container": "podman"})


def test_every_interface_is_for_containers_only() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="only in a container"):
        named_host(Host.EVERY_INTERFACE, contained=False)
    assert named_host(Host.EVERY_INTERFACE, contained=True) is Host.EVERY_INTERFACE


@pytest.mark.parametrize("contained", [False, True])
def test_loopback_is_for_everywhere(contained: bool) -> None:
    assert named_host("127.0.0.1", contained=contained) is Host.LOOPBACK


@pytest.mark.parametrize("text", ["", "localhost", "192.168.1.7", "::", "[::1]"])
def test_no_other_host_is_known(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"neither 127\.0\.0\.1 nor 0\.0\.0\.0"):
        named_host(text, contained=True)


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("free", {}),
        ("fixed", FIXED_PORTS),
        ("storage=1", {Port.STORAGE: 1}),
        ("pubsub=1,bigquery_storage=2", {Port.PUBSUB: 1, Port.BIGQUERY_STORAGE: 2}),
        ("fixed,storage=1", {**FIXED_PORTS, Port.STORAGE: 1}),
        # A user's port comes before a customary one, whatever the order.
        ("storage=1,fixed", {**FIXED_PORTS, Port.STORAGE: 1}),
    ],
)
def test_ports_are_named(text: str, ports: dict[Port, int]) -> None:
    assert named_ports(text) == ports


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "'' is not NAME=PORT"),
        ("all", "'all' is not NAME=PORT"),
        ("spanner=1", "there is no port 'spanner'; there are pubsub, pubsub_control, bigquery"),
        ("storage=0", "0 is not a port: 1 to 65535"),
        ("storage=65536", "65536 is not a port: 1 to 65535"),
        ("storage=-1", "-1 is not a port"),
        ("storage=x", "x is not a port"),
        ("storage=1,pubsub=1", "1 is the port of both pubsub and storage"),
        ("fixed,storage=8085", "8085 is the port of both pubsub and storage"),
    ],
)
def test_a_mistake_in_ports_is_said(text: str, complaint: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as raised:
        named_ports(text)
    assert str(raised.value).startswith(complaint)


def test_customary_ports_are_those_of_the_emulators_that_people_know() -> None:
    assert [FIXED_PORTS[port] for port in Port] == [8085, 8086, 9050, 9060, 4443, 8500]


def test_a_service_is_told_where_to_listen() -> None:
    listening = Listening(Host.EVERY_INTERFACE, {Port.PUBSUB_CONTROL: 7})
    assert listening.flags("pubsub") == ["--host=0.0.0.0", "--port=0", "--control_port=7"]
    assert listening.flags("bigquery") == ["--host=0.0.0.0", "--port=0", "--grpc_port=0"]
    assert Listening().flags("storage") == ["--host=127.0.0.1", "--port=0"]


@pytest.mark.parametrize("host", list(Host))
def test_a_taken_port_is_refused_before_anything_starts(host: Host) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        with pytest.raises(PortRefused, match=f"port {taken} of storage cannot be used: Address"):
            Listening(host, {Port.STORAGE: taken}).require_free()
    Listening(host, {Port.STORAGE: taken}).require_free()

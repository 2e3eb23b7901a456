"""The server's connections and its outages over real sockets: what uvicorn lets us see."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from tf_dataflow_serving.services.http import serve_http
from tf_dataflow_serving.services.prediction.faults.connections import Connections
from tf_dataflow_serving.services.prediction.faults.outages import Outages

TIMEOUT = 10
# Long enough for a busy machine to see that nobody listens.
AWAY_SECONDS = 2


class Breaking:
    """An application that does one thing to the connection of each request."""

    def __init__(self, connections: Connections) -> None:
        self.connections = connections
        self.stayed: list[bool] = []
        self.asked = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked.set()
        match scope["path"]:
            case "/reset":
                self.connections.reset(scope["client"])
                await self.connections.gone(scope["client"])
            case "/close":
                self.connections.close(scope["client"])
                await self.connections.gone(scope["client"])
            case "/stay":
                self.stayed.append(await self.connections.stay(scope["client"], TIMEOUT))
            case _:
                await PlainTextResponse("here")(scope, receive, send)


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[Breaking, int]]:
    connections = Connections()
    app = Breaking(connections)
    async with serve_http(app, protocol=connections.protocol()) as port:
        yield app, port


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()


def request(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode()


def run(scenario) -> None:
    async def limited() -> None:
        async with asyncio.timeout(60):
            await scenario()

    asyncio.run(limited())


def test_a_reset_is_a_reset():
    async def scenario() -> None:
        async with serving() as (_, port), connected(port) as (reader, writer):
            writer.write(request("/reset"))
            with pytest.raises(ConnectionResetError):
                await reader.read()

    run(scenario)


def test_an_end_is_no_reset():
    async def scenario() -> None:
        async with serving() as (_, port), connected(port) as (reader, writer):
            writer.write(request("/close"))
            assert await reader.read() == b""

    run(scenario)


def test_nobody_waits_for_a_connection_that_is_gone():
    async def scenario() -> None:
        async with serving() as (app, port):
            async with connected(port) as (_, writer):
                writer.write(request("/stay"))
                await app.asked.wait()
            while not app.stayed:
                await asyncio.sleep(0.01)
            assert app.stayed == [False]

    run(scenario)


def test_a_connection_that_never_was_is_no_matter():
    async def scenario() -> None:
        connections = Connections()
        client = ("127.0.0.1", 1)
        connections.reset(client)
        connections.close(client)
        await connections.gone(client)
        assert not await connections.stay(client, TIMEOUT)

    run(scenario)


def test_all_connections_can_be_reset_and_new_ones_made():
    async def scenario() -> None:
        async with serving() as (app, port), connected(port) as (reader, writer):
            writer.write(request("/here"))
            assert b"here" in await reader.readuntil(b"here")
            app.connections.reset_all()
            with pytest.raises(ConnectionResetError):
                await reader.read()
            async with connected(port) as (other_reader, other_writer):
                other_writer.write(request("/here"))
                assert b"here" in await other_reader.readuntil(b"here")

    run(scenario)


def test_an_outage_refuses_connections_and_ends_on_the_same_port():
    async def scenario() -> None:
        connections = Connections()
        outages = Outages(connections)
        app = Breaking(connections)
        opened: list[int] = []

        @asynccontextmanager
        async def server(port: int) -> AsyncIterator[int]:
            async with serve_http(app, port, protocol=connections.protocol()) as bound:
                opened.append(bound)
                yield bound

        async with outages.interrupting(server, 0) as port:
            async with connected(port) as (reader, _):
                outages.begin(AWAY_SECONDS)
                with pytest.raises(ConnectionResetError):
                    await reader.read()
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", port)
            while len(opened) < 2:
                await asyncio.sleep(0.01)
            assert opened == [port, port]
            async with connected(port) as (reader, writer):
                writer.write(request("/here"))
                assert b"here" in await reader.readuntil(b"here")

    run(scenario)


def test_an_outage_lasts_until_nobody_else_has_the_port(caplog):
    async def scenario() -> None:
        connections = Connections()
        outages = Outages(connections)
        app = Breaking(connections)

        def server(port: int):
            return serve_http(app, port, protocol=connections.protocol())

        async with outages.interrupting(server, 0) as port:
            outages.begin(AWAY_SECONDS)
            taken = await _bind_when_free(port)
            with taken:
                while "cannot be used again yet" not in caplog.text:
                    await asyncio.sleep(0.01)
            assert b"here" in await _answer_when_up(port)

    run(scenario)


async def _bind_when_free(port: int) -> socket.socket:
    while True:
        try:
            return socket.create_server(("127.0.0.1", port))
        except OSError:
            await asyncio.sleep(0.01)


async def _answer_when_up(port: int) -> bytes:
    while True:
        try:
            async with connected(port) as (reader, writer):
                writer.write(request("/here"))
                return await reader.readuntil(b"here")
        except ConnectionRefusedError:
            await asyncio.sleep(0.01)

"""What the service costs beyond the model's own call, for one client and for sixteen."""

import asyncio
from statistics import mean

import orjson
import pytest

from .conftest import BODY, INSTANCES
from .exchange import MS, ask, ask_stream, p50, p99, request, timed

PATHS = {
    "cmle": "/v1/projects/p/models/babyweight:predict",
    "vertex": "/v1/projects/p/locations/us-central1/endpoints/babyweight:predict",
    "tfserving": "/v1/models/babyweight:predict",
}
CLIENTS = 16
CALLS = 1_000
CALLS_OF_EACH = 100


@pytest.mark.parametrize("protocol", PATHS)
def test_one_connection(benchmark, connection, signature, protocol):
    """`overhead_p50_ms` is what a client sees beyond the model's call in this process.

    The part of it that any request costs, the client and the kernel among it, is what a route
    takes that asks no model.
    """
    model: list[float] = []
    idle: list[float] = []

    def beside() -> None:
        """Measure what it is compared with in turns, so that a busy machine is so for all."""
        model.append(timed(lambda: signature.predict(INSTANCES)))
        idle.append(timed(lambda: ask(connection, request("GET", "/control/v1/faults"))))

    message = request("POST", PATHS[protocol], BODY)
    answer = benchmark.pedantic(
        ask, (connection, message), setup=beside, rounds=CALLS, warmup_rounds=CALLS // 10
    )
    assert len(orjson.loads(answer)["predictions"]) == 1
    overhead = benchmark.stats.stats.median * MS - p50(model)
    benchmark.extra_info.update(
        model_p50_ms=p50(model),
        overhead_p50_ms=round(overhead, 3),
        any_request_p50_ms=p50(idle),
        prediction_overhead_p50_ms=round(overhead - p50(idle), 3),
    )


async def client(port: int) -> list[float]:
    """Ask again and again, each time when the answer has come."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    message = request("POST", PATHS["cmle"], BODY)
    taken = [await ask_stream(reader, writer, message) for _ in range(CALLS_OF_EACH)]
    writer.close()
    return taken


def test_sixteen_connections(benchmark, port):
    async def clients() -> list[list[float]]:
        return await asyncio.gather(*(client(port) for _ in range(CLIENTS)))

    taken = benchmark.pedantic(lambda: asyncio.run(clients()), rounds=5, warmup_rounds=1)
    rates = [CALLS_OF_EACH / sum(one) for one in taken]
    benchmark.extra_info.update(
        p50_ms=[p50(one) for one in taken],
        p99_ms=[p99(one) for one in taken],
        requests_per_second=round(CLIENTS * CALLS_OF_EACH / benchmark.stats.stats.median),
        slowest_to_mean=round(min(rates) / mean(rates), 3),
    )

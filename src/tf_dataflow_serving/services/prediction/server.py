"""Serves the prediction service."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from tf_dataflow_serving.services.http import serve_http
from tf_dataflow_serving.services.listening import Listening, Port
from tf_dataflow_serving.services.prediction.app import create_app
from tf_dataflow_serving.services.prediction.control import routes as control
from tf_dataflow_serving.services.prediction.faults.connections import Connections
from tf_dataflow_serving.services.prediction.faults.injection import Faults
from tf_dataflow_serving.services.prediction.faults.middleware import FaultInjection
from tf_dataflow_serving.services.prediction.faults.outages import Outages
from tf_dataflow_serving.services.prediction.faults.plan import FaultPlan
from tf_dataflow_serving.services.prediction.service import Deployment, open_service


@asynccontextmanager
async def serve(
    listening: Listening,
    storage_url: str,
    deployments: Sequence[Deployment],
    data_dir: Path | None = None,
    plan: FaultPlan | None = None,
) -> AsyncIterator[dict[str, int]]:
    """Serve until left; yields {"http": port} once the deployed models answer.

    What `plan` says goes wrong from the start; the control endpoint can change it.
    """
    faults = Faults(time.monotonic, plan)
    connections = Connections()
    outages = Outages(connections)
    async with open_service(storage_url, deployments, data_dir) as service:
        app = create_app(service, control.routes(faults, outages))
        faulty = FaultInjection(app, faults, connections, outages)

        def server(port: int) -> AbstractAsyncContextManager[int]:
            return serve_http(faulty, port, listening.host, connections.protocol())

        async with outages.interrupting(server, listening.port(Port.PREDICTION)) as bound:
            yield {"http": bound}

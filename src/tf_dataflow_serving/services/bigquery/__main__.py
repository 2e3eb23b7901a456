"""`python -m tf_dataflow_serving.services.bigquery --project P --storage_url URL`."""

import argparse
from pathlib import Path

from tf_dataflow_serving.services import child
from tf_dataflow_serving.services.bigquery.embedded.logs import quiet_logs
from tf_dataflow_serving.services.listening import Listening, Port, add_host_argument


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Serves BigQuery.")
    parser.add_argument("--port", type=int, default=0, help="of the REST API; 0: any free one")
    parser.add_argument("--grpc_port", type=int, default=0, help="of the Storage API")
    add_host_argument(parser)
    parser.add_argument("--project", required=True, help="the project of unqualified requests")
    parser.add_argument("--storage_url", required=True, help="where gs:// objects are")
    parser.add_argument("--data_dir", type=Path, help="keeps tables across restarts")
    parser.add_argument(
        "--upstream_url", help="another emulator to stand in front of, in place of our own tables"
    )
    return parser.parse_args()


def _main() -> None:
    given = _arguments()
    # Before bqemulator is imported, which writes to standard output.
    quiet_logs()
    from tf_dataflow_serving.services.bigquery.server import (  # noqa: PLC0415
        serve,
        serve_upstream,
    )

    ports = {Port.BIGQUERY: given.port, Port.BIGQUERY_STORAGE: given.grpc_port}
    listening = Listening(given.host, ports)
    if given.upstream_url is None:
        child.run(serve(listening, given.project, given.storage_url, given.data_dir))
    else:
        child.run(serve_upstream(listening, given.storage_url, given.upstream_url))


if __name__ == "__main__":
    _main()

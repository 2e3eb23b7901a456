"""`python -m tf_dataflow_serving.services.bigquery --project P --storage_url URL`."""

import argparse
from pathlib import Path

from tf_dataflow_serving.services import child
from tf_dataflow_serving.services.bigquery.logs import quiet_logs


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Serves BigQuery on the loopback interface.")
    parser.add_argument("--port", type=int, default=0, help="of the REST API; 0: any free one")
    parser.add_argument("--grpc_port", type=int, default=0, help="of the Storage API")
    parser.add_argument("--project", required=True, help="the project of unqualified requests")
    parser.add_argument("--storage_url", required=True, help="where gs:// objects are")
    parser.add_argument("--data_dir", type=Path, help="keeps tables across restarts")
    return parser.parse_args()


def _main() -> None:
    given = _arguments()
    # Before bqemulator is imported, which writes to standard output.
    quiet_logs()
    from tf_dataflow_serving.services.bigquery.server import serve  # noqa: PLC0415

    child.run(serve(given.port, given.grpc_port, given.project, given.storage_url, given.data_dir))


if __name__ == "__main__":
    _main()

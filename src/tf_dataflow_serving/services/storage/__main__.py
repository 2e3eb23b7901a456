"""`python -m tf_dataflow_serving.services.storage` runs the Cloud Storage service."""

import argparse
from pathlib import Path

from tf_dataflow_serving.services import child
from tf_dataflow_serving.services.listening import Listening, Port, add_host_argument
from tf_dataflow_serving.services.storage.server import serve, serve_upstream

parser = argparse.ArgumentParser(description="A Cloud Storage service on this machine.")
parser.add_argument("--port", type=int, default=0, help="0: any free one")
add_host_argument(parser)
parser.add_argument("--data_dir", type=Path, help="kept when the service ends")
parser.add_argument(
    "--upstream_url", help="another emulator to stand in front of, in place of our own objects"
)
arguments = parser.parse_args()
listening = Listening(arguments.host, {Port.STORAGE: arguments.port})
if arguments.upstream_url is None:
    child.run(serve(listening, arguments.data_dir))
else:
    child.run(serve_upstream(listening, arguments.upstream_url))

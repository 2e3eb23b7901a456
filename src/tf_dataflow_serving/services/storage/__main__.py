"""`python -m tf_dataflow_serving.services.storage` runs the Cloud Storage service."""

import argparse
from pathlib import Path

from tf_dataflow_serving.services import child
from tf_dataflow_serving.services.storage.server import serve

parser = argparse.ArgumentParser(description="A Cloud Storage service on this machine.")
parser.add_argument("--port", type=int, default=0, help="0: any free one")
parser.add_argument("--data_dir", type=Path, help="kept when the service ends")
arguments = parser.parse_args()
child.run(serve(arguments.port, arguments.data_dir))

"""Runs the emulator as a child process: `python -m ... --port 0`."""

import argparse

from tf_dataflow_serving.services import child
from tf_dataflow_serving.services.pubsub.server import serve


def main() -> None:
    """Parse the command line and serve until told to stop."""
    parser = argparse.ArgumentParser(description="Pub/Sub emulator")
    parser.add_argument("--port", type=int, default=0, help="0 chooses a free one")
    child.run(serve(parser.parse_args().port))


if __name__ == "__main__":
    main()

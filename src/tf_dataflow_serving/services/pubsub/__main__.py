"""Runs the emulator as a child process: `python -m ... --port 0`."""

import argparse
import gc
from pathlib import Path

from tf_dataflow_serving.services import child
from tf_dataflow_serving.services.listening import Listening, Port, add_host_argument
from tf_dataflow_serving.services.pubsub.journal import DEFAULT_CAPACITY
from tf_dataflow_serving.services.pubsub.server import serve


def main() -> None:
    """Parse the command line and serve until told to stop."""
    options = _parser().parse_args()
    # A full collection walks through every message, a tenth of a second for some 100,000,
    # while everybody waits. Messages are in no cycles, and little else is: rarely will do.
    gc.set_threshold(700, 10, 1_000)
    ports = {Port.PUBSUB: options.port, Port.PUBSUB_CONTROL: options.control_port}
    child.run(
        serve(
            Listening(options.host, ports),
            journal_messages=options.journal_messages,
            seed=options.seed,
            data_dir=options.data_dir,
        )
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Pub/Sub emulator")
    parser.add_argument("--port", type=_port, default=0, help="0 chooses a free one")
    parser.add_argument(
        "--control_port",
        type=_port,
        default=0,
        help="of the control endpoint; 0 chooses a free one",
    )
    add_host_argument(parser)
    parser.add_argument(
        "--journal_messages",
        type=_not_negative,
        default=DEFAULT_CAPACITY,
        metavar="N",
        help="how many messages the control endpoint remembers (%(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of the chance by which injected faults strike"
    )
    parser.add_argument(
        "--data_dir",
        type=Path,
        metavar="DIR",
        help="keep topics, subscriptions, messages and snapshots here; without it in memory only",
    )
    return parser


def _port(text: str) -> int:
    number = _not_negative(text)
    if number > 65_535:
        raise argparse.ArgumentTypeError(f"{text} is more than 65535")
    return number


def _not_negative(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is less than 0")
    return number


if __name__ == "__main__":
    main()

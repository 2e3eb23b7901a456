"""`python -m tf_dataflow_serving.services.containers --image I --publish NAME=PORT -- COMMAND`."""

import argparse

from tf_dataflow_serving.services import child
from tf_dataflow_serving.services.containers.held import Container, held


def _published(text: str) -> tuple[str, int]:
    name, _, port = text.partition("=")
    return name, int(port)


def _variable(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def _container() -> Container:
    parser = argparse.ArgumentParser(description="Holds a container until it is told to end.")
    parser.add_argument("--image", required=True)
    parser.add_argument("--publish", type=_published, action="append", default=[])
    parser.add_argument("--env", type=_variable, action="append", default=[])
    parser.add_argument("command", nargs="*")
    given = parser.parse_args()
    return Container(given.image, given.command, dict(given.publish), dict(given.env))


if __name__ == "__main__":
    child.run(held(_container()))

"""Command lines: parsing that answers a mistake with one line."""

import argparse
from collections.abc import Callable
from typing import Any, NoReturn, Protocol

Handler = Callable[[argparse.Namespace], int]


class OneLineParser(argparse.ArgumentParser):
    """Says what is wrong in one line, and where the help is; exits with 2."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "allow_abbrev": False})

    def error(self, message: str) -> NoReturn:
        """End the command."""
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


class Commands(Protocol):
    """What `add_subparsers` returns."""

    def add_parser(self, name: str, **kwargs: Any) -> OneLineParser:
        """Add a command."""


def add_command(
    commands: Commands, name: str, handler: Handler, summary: str, **kwargs: str
) -> OneLineParser:
    """Add a command whose `--help` begins with its summary."""
    parser = commands.add_parser(name, help=summary, description=summary + ".", **kwargs)
    parser.set_defaults(handler=handler, takes_beam_flags=False)
    return parser

"""`--services` and what belongs to it: which services a command works with."""

import argparse
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from tf_dataflow_serving.errors import UsageError
from tf_dataflow_serving.flags import Services
from tf_dataflow_serving.services.containers.images import Images, variable
from tf_dataflow_serving.services.endpoints import VARIABLES

_HELP = {
    Services.EMBEDDED: "local services of ours",
    Services.CONTAINERS: "the emulators of others, in Docker",
    Services.EXTERNAL: "services that run elsewhere, named by variables or the flags below",
    Services.GCP: "Google Cloud",
}
_PLACES = [field for field in VARIABLES if field not in ("project", "credentials")]
_IMAGES = [field.name for field in fields(Images)]

FLAGS = (
    "services",
    *(f"{field}_place" for field in _PLACES),
    *(f"{field}_image" for field in _IMAGES),
)
"""The names of these arguments in a parsed command line."""


@dataclass(frozen=True)
class ServiceChoice:
    """The services that were asked for; None: those that run, or else embedded ones."""

    services: Services | None
    project: str | None
    places: Mapping[str, str | None]
    images: Images

    @classmethod
    def from_arguments(cls, arguments: argparse.Namespace) -> "ServiceChoice":
        """Read what `add_service_arguments` added."""
        given = vars(arguments)
        _refuse_strays(given)
        named = {field: given[f"{field}_image"] for field in _IMAGES}
        images = {field: image for field, image in named.items() if image}
        return cls(
            services=None if arguments.services is None else Services(arguments.services),
            project=given.get("project"),
            places={
                "project": given.get("project"),
                **{field: given[f"{field}_place"] for field in _PLACES},
            },
            images=replace(Images.from_environment(os.environ), **images),
        )


def _refuse_strays(given: Mapping[str, object]) -> None:
    """Raise UsageError for flags that belong to another kind of services."""
    for kind, flags in (
        (Services.EXTERNAL, {f"{field}_place": VARIABLES[field].lower() for field in _PLACES}),
        (Services.CONTAINERS, {f"{field}_image": f"{field}_image" for field in _IMAGES}),
    ):
        for name, flag in flags.items():
            if given[name] is not None and given["services"] != kind:
                raise UsageError(f"--{flag} is for --services {kind}")


def add_service_arguments(
    parser: argparse.ArgumentParser, *choices: Services, default: str = "those that run already"
) -> None:
    """Add the flags; `choices` are the kinds that make sense for the command."""
    group = parser.add_argument_group("services")
    group.add_argument(
        "--services",
        choices=[str(kind) for kind in choices],
        help="; ".join(f"{kind}: {_HELP[kind]}" for kind in choices) + f" (default: {default})",
    )
    _add_places(group, shown=Services.EXTERNAL in choices)
    _add_images(group, shown=Services.CONTAINERS in choices)


def _add_places(group: "argparse._ArgumentGroup", *, shown: bool) -> None:
    for field in _PLACES:
        group.add_argument(
            f"--{VARIABLES[field].lower()}",
            dest=f"{field}_place",
            metavar="ADDRESS",
            help=f"external: in place of ${VARIABLES[field]}" if shown else argparse.SUPPRESS,
        )


def _add_images(group: "argparse._ArgumentGroup", *, shown: bool) -> None:
    for field in _IMAGES:
        text = f"containers: in place of ${variable(field)} (default: {getattr(Images(), field)})"
        group.add_argument(
            f"--{field}_image",
            dest=f"{field}_image",
            metavar="IMAGE",
            help=text if shown else argparse.SUPPRESS,
        )

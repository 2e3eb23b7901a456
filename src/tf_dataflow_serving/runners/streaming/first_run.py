"""Installs this package in a Python that has not imported Beam yet, and may never do so.

Imports nothing that such a Python would have to wait for.
"""

from __future__ import annotations

import functools
import os

# As typing has it, which every Python that starts would import for this alone.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType
    from typing import Any

EMULATOR_VARIABLE = "PUBSUB_EMULATOR_HOST"


def install_at_first_run(module: ModuleType) -> None:
    """Have Beam's module of local runners install this package once a pipeline is run.

    Not before: the module is imported while Beam is. Only pipelines on a Pub/Sub emulator do so.
    """
    for runner in (module.SwitchingDirectRunner, module.BundleBasedDirectRunner):
        runner.run_pipeline = _installing(runner.run_pipeline)


PATCHES: Mapping[str, Callable[[ModuleType], None]] = {
    "apache_beam.runners.direct.direct_runner": install_at_first_run
}
"""By the module that is to be patched when it is imported."""


def _installing(run_pipeline: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(run_pipeline)
    def run(*args: Any, **kwargs: Any) -> Any:
        if os.environ.get(EMULATOR_VARIABLE):
            _install()
        return run_pipeline(*args, **kwargs)

    return run


def _install() -> None:
    """Each time: what was in place before may have been put back meanwhile."""
    from tf_dataflow_serving.runners.streaming.installation import install  # noqa: PLC0415

    install()

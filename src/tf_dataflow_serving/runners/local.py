"""The runners of this machine, chosen as Beam's DirectRunner would, without its download."""

from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.runner import PipelineRunner

NAME = "DirectRunner"


def local_runner(streaming: bool) -> PipelineRunner:
    """Return the runner that DirectRunner would choose, without its attempt to download Prism.

    That attempt looks for a server on the internet and, where packets are dropped, waits for
    minutes (SwitchingDirectRunner.run_pipeline).
    """
    return BundleBasedDirectRunner() if streaming else FnApiRunner()

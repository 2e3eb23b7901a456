"""The flags of `run` as Beam pipeline options."""

import argparse

from apache_beam.options.pipeline_options import PipelineOptions

from tf_dataflow_serving import flags


class ServingOptions(PipelineOptions):
    """The options of the experiments.

    The experiment's own flag is `--experiment_type` here, since Beam has an `--experiment`
    of its own; the command `run` takes `--experiment` for it.
    """

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        flags.add_arguments(parser)

"""The arguments of `run`: checked together, completed, and turned into pipeline options."""

import argparse
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn

from tf_dataflow_serving.cli.service_arguments import FLAGS, ServiceChoice
from tf_dataflow_serving.errors import UsageError
from tf_dataflow_serving.flags import (
    DEFAULT_BATCH_SIZE,
    DEFAULT_MICRO_BATCH_SIZE,
    DEFAULT_OUTPUT_TABLE,
    Experiment,
    InferenceType,
    Services,
    bucket_path,
)
from tf_dataflow_serving.natality.queries import source_query, statistics_query
from tf_dataflow_serving.resource_names import subscription_path, topic_path
from tf_dataflow_serving.services.endpoints import VARIABLES

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions

_OWN = (
    *FLAGS,
    "handler",
    "command",
    "takes_beam_flags",
    "beam_flags",
    "json",
    "bq_dataset",
    "bq_table",
)
# Beam reads them in any path, also in that of results to be replaced.
_WILDCARD = re.compile(r"[*?\[\]]")
_CLOUD_ML_ENGINE = (InferenceType.CMLE, InferenceType.NOT_APPLICABLE)
# Their flags are defined by their job servers, not by Beam's options.
_RUNNERS_WITH_ALL_FLAGS_KNOWN = ("DirectRunner", "DataflowRunner")


@dataclass(frozen=True)
class RunArguments:
    """A run that makes sense. `values` are the pipeline options by name."""

    services: ServiceChoice
    json: bool
    values: Mapping[str, Any]
    beam_flags: Sequence[str]

    @property
    def experiment(self) -> Experiment:
        """What is run."""
        return Experiment(self.values["experiment_type"])

    @property
    def title(self) -> str:
        """The run in two words."""
        return f"{self.experiment} {self.values['inference_type']}"

    def on(self, project: str, prediction_url: str | None) -> "RunArguments":
        """Return the run on these services, as far as it did not name others.

        Raises UsageError if it needs a prediction service and there is none.
        """
        places = {
            "project": self.values["project"] or project,
            "prediction_url": self.values["prediction_url"] or prediction_url,
        }
        local = self.values["inference_type"] == InferenceType.LOCAL
        if not local and places["prediction_url"] is None:
            raise UsageError(
                f"{self.title} needs a prediction service: --prediction_url, or "
                f"{VARIABLES['prediction']} with --services external"
            )
        return replace(self, values={**self.values, **places})

    def _inputs(self) -> dict[str, str]:
        """Return the names of the stream's input, in full."""
        named = {"input_topic": topic_path, "input_subscription": subscription_path}
        project = self.values["project"]
        return {
            name: path(project, self.values[name])
            for name, path in named.items()
            if self.values[name]
        }

    def pipeline_options(self) -> "PipelineOptions":
        """Return the options that Beam and the pipelines take."""
        from apache_beam.options.pipeline_options import PipelineOptions

        values = {**self.values, **self._inputs()}
        _refuse_unknown(self.beam_flags, self.values["runner"])
        return PipelineOptions([*self.beam_flags], streaming=self.experiment.is_streaming, **values)

    def destinations(self) -> list[str]:
        """Say where the results are."""
        if self.experiment.is_streaming:
            table = self.values["output_table"]
            return [f"estimates in {table}, dead letters in {table}_errors"]
        directory = self.values["output"].rstrip("/")
        return [f"estimates in {directory}/estimates-*.csv, dead letters in errors-*.jsonl there"]


def complete(arguments: argparse.Namespace) -> RunArguments:
    """Fill in the defaults that depend on other flags; raises UsageError for contradictions."""
    values = {name: value for name, value in vars(arguments).items() if name not in _OWN}
    experiment = Experiment(values["experiment_type"] or Experiment.BATCH)
    values["experiment_type"] = str(experiment)
    values["inference_type"] = str(_inference_type(experiment, values["inference_type"]))
    values["batch_size"] = values["batch_size"] or _batch_size(experiment)
    values["output_table"] = _output_table(arguments)
    _check_places(experiment, values)
    services = _services(ServiceChoice.from_arguments(arguments), arguments.runner)
    if services.services is Services.GCP:
        _check_cloud(values)
    return RunArguments(services, arguments.json, values, arguments.beam_flags)


def _inference_type(experiment: Experiment, chosen: str | None) -> InferenceType:
    inference_type = InferenceType(chosen or experiment.inference_types[0])
    if inference_type not in experiment.inference_types:
        possible = ", ".join(experiment.inference_types)
        raise UsageError(f"{experiment} has --inference_type {possible}; not {inference_type}")
    return inference_type


def _batch_size(experiment: Experiment) -> int:
    if experiment is Experiment.STREAM_MICRO_BATCHES:
        return DEFAULT_MICRO_BATCH_SIZE
    return DEFAULT_BATCH_SIZE


def _output_table(arguments: argparse.Namespace) -> str:
    """Return the table, which may also be named by the original's two flags."""
    if arguments.bq_dataset is None and arguments.bq_table is None:
        return str(arguments.output_table)
    dataset, table = DEFAULT_OUTPUT_TABLE.split(".")
    return f"{arguments.bq_dataset or dataset}.{arguments.bq_table or table}"


def _check_places(experiment: Experiment, values: Mapping[str, Any]) -> None:
    if experiment.is_streaming and not (values["input_topic"] or values["input_subscription"]):
        raise UsageError(f"{experiment} needs --input_subscription or --input_topic")
    try:
        source_query(values["source_table"], values["sample_size"])
        statistics_query(values["output_table"])
    except ValueError as error:
        raise UsageError(str(error)) from error
    _check_output(experiment, values["output"])


def _check_output(experiment: Experiment, output: str) -> None:
    is_remote = output.startswith("gs://")
    if experiment is Experiment.BATCH_PREDICT and not is_remote:
        raise UsageError("batch-predict needs --output gs://BUCKET/PREFIX, which its job can read")
    if _WILDCARD.search(output):
        raise UsageError("--output names one place: it has none of * ? [ ]")
    try:
        if is_remote:
            bucket_path(output)
    except argparse.ArgumentTypeError as error:
        raise UsageError(f"--output: {error}") from error


def _check_cloud(values: Mapping[str, Any]) -> None:
    if not values["project"]:
        raise UsageError("--services gcp needs --project")
    is_gone = values["inference_type"] in _CLOUD_ML_ENGINE
    if is_gone and not values["prediction_url"]:
        raise UsageError(
            "Google Cloud has no Cloud ML Engine any more: use --inference_type vertex, "
            "or name a service that has with --prediction_url"
        )


def _services(choice: ServiceChoice, runner: str) -> ServiceChoice:
    if runner != "DataflowRunner":
        return choice
    if choice.services not in (None, Services.GCP):
        raise UsageError(
            f"Dataflow in Google's cloud cannot work with --services {choice.services}; "
            "use --services gcp, or --runner DirectRunner"
        )
    return replace(choice, services=Services.GCP)


def _refuse_unknown(beam_flags: Sequence[str], runner: str) -> None:
    """Raise UsageError for a flag, or a value of one, that neither we nor Beam know."""
    from apache_beam.options.pipeline_options import PipelineOptions

    parsers: list[argparse.ArgumentParser] = []
    PipelineOptions([]).get_all_options(add_extra_args_fn=parsers.append)
    parser = parsers[0]

    def refuse(message: str) -> NoReturn:
        raise UsageError(message)

    parser.error = refuse  # type: ignore[method-assign]
    _, unknown = parser.parse_known_args(list(beam_flags))
    if unknown and runner in _RUNNERS_WITH_ALL_FLAGS_KNOWN:
        raise UsageError(f"unrecognized arguments: {' '.join(unknown)}")

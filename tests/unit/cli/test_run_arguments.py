import argparse

import pytest

from tf_dataflow_serving import flags
from tf_dataflow_serving.cli.run_arguments import RunArguments, complete
from tf_dataflow_serving.cli.service_arguments import add_service_arguments
from tf_dataflow_serving.errors import UsageError
from tf_dataflow_serving.flags import Experiment, Services
from tf_dataflow_serving.options import ServingOptions


def arguments(
    *words: str, runner: str = "DirectRunner", project: str | None = None
) -> RunArguments:
    parser = argparse.ArgumentParser()
    flags.add_arguments(parser)
    parser.add_argument("--bq-dataset")
    parser.add_argument("--bq-table")
    add_service_arguments(parser, *Services)
    parsed, beam_flags = parser.parse_known_args(words)
    return complete(
        argparse.Namespace(
            **vars(parsed),
            beam_flags=beam_flags,
            runner=runner,
            project=project,
            json=False,
        )
    )


def test_a_run_without_flags_is_batch_local_on_what_runs() -> None:
    chosen = arguments()
    assert chosen.title == "batch local"
    assert chosen.services.services is None


def test_the_flags_of_services_say_where_they_are() -> None:
    external = arguments("--services=external", "--pubsub_emulator_host=h:1").services
    assert external.services is Services.EXTERNAL
    assert external.places["pubsub"] == "h:1"
    assert external.places["bigquery"] is None
    contained = arguments("--services=containers", "--storage_image=mine:2").services
    assert contained.images.storage == "mine:2"


@pytest.mark.parametrize("words", [["--services=gcp"], []])
def test_google_cloud_needs_a_project(words: list[str]) -> None:
    runner = "DirectRunner" if words else "DataflowRunner"
    with pytest.raises(UsageError, match="needs --project"):
        arguments(*words, runner=runner)


@pytest.mark.parametrize(
    ("word", "kind"),
    [("--pubsub_emulator_host=h:1", "external"), ("--storage_image=mine:2", "containers")],
)
@pytest.mark.parametrize("chosen", [[], ["--services=embedded"]])
def test_flags_of_other_services_are_refused(word: str, kind: str, chosen: list[str]) -> None:
    with pytest.raises(UsageError, match=f"is for --services {kind}"):
        arguments(word, *chosen)


def test_a_run_that_needs_a_prediction_service_says_so() -> None:
    arguments("--inference_type=local").on("p", None)
    with pytest.raises(UsageError, match="batch cmle needs a prediction service"):
        arguments("--inference_type=cmle").on("p", None)
    run = arguments("--inference_type=cmle", "--prediction_url=http://h").on("p", None)
    assert run.values["prediction_url"] == "http://h"


@pytest.mark.parametrize(
    ("words", "batch_size"),
    [
        (["--experiment_type=batch"], 1_000),
        (["--experiment_type=stream", "--input_topic=t"], 1_000),
        (["--experiment_type=stream-m-batches", "--input_topic=t"], 100),
        (["--experiment_type=stream-m-batches", "--input_topic=t", "--batch_size=7"], 7),
    ],
)
def test_the_batch_size_follows_the_experiment(words: list[str], batch_size: int) -> None:
    assert arguments(*words).values["batch_size"] == batch_size


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--experiment_type=stream"], "needs --input_subscription or --input_topic"),
        (["--experiment_type=batch-predict"], "needs --output gs://"),
        (["--experiment_type=batch", "--output=gs://b/*"], "--output names one place"),
        (["--experiment_type=batch", "--output=gs:///o"], "--output: "),
        (["--experiment_type=batch", "--output=out[1]"], "--output names one place"),
        (["--experiment_type=batch", "--inference_type=NA"], "local, cmle, vertex; not NA"),
        (
            ["--experiment_type=batch-predict", "--inference_type=local", "--output=gs://b/o"],
            "NA, vertex; not local",
        ),
    ],
)
def test_contradictions_are_refused(words: list[str], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        arguments(*words)


@pytest.mark.parametrize("experiment", Experiment)
def test_each_experiment_has_its_inference_types(experiment: Experiment) -> None:
    words = [f"--experiment_type={experiment}", "--input_topic=t", "--output=gs://b/o"]
    assert arguments(*words).values["inference_type"] == experiment.inference_types[0]
    for inference_type in experiment.inference_types:
        chosen = arguments(*words, f"--inference_type={inference_type}")
        assert chosen.title == f"{experiment} {inference_type}"


GCP = ("--services=gcp", "--output=gs://b/o")


@pytest.mark.parametrize(
    "words",
    [["--inference_type=cmle"], ["--experiment_type=batch-predict"]],
    ids=["cmle", "NA"],
)
def test_google_cloud_has_no_cloud_ml_engine(words: list[str]) -> None:
    with pytest.raises(UsageError, match="use --inference_type vertex"):
        arguments(*GCP, *words, project="p")
    elsewhere = arguments(*GCP, *words, "--prediction_url=https://h", project="p")
    assert elsewhere.values["prediction_url"] == "https://h"


@pytest.mark.parametrize("experiment", ["batch", "batch-predict"])
def test_google_cloud_has_vertex(experiment: str) -> None:
    words = [f"--experiment_type={experiment}", "--inference_type=vertex"]
    assert arguments(*GCP, *words, project="p").values["prediction_url"] is None


def test_dataflow_means_google_cloud() -> None:
    assert arguments(runner="DataflowRunner", project="p").services.services is Services.GCP


@pytest.mark.parametrize("kind", ["embedded", "containers", "external"])
def test_dataflow_cannot_work_with_other_services(kind: str) -> None:
    with pytest.raises(UsageError, match=f"cannot work with --services {kind}"):
        arguments(f"--services={kind}", runner="DataflowRunner")


def test_the_originals_flag_names_are_understood() -> None:
    chosen = arguments(
        "--experiment-type=stream-m-batches",
        "--inference-type=cmle",
        "--batch-sample-size=5",
        "--sink-dir=out",
        "--pubsub-topic=t",
        "--pubsub-subscription=s",
        "--window-size=3",
        "--bq-dataset=playground_ds",
    )
    assert chosen.experiment is Experiment.STREAM_MICRO_BATCHES
    values = chosen.values
    assert values["output_table"] == "playground_ds.babyweight_estimates"
    assert (values["sample_size"], values["output"], values["batch_seconds"]) == (5, "out", 3.0)
    assert (values["input_topic"], values["input_subscription"]) == ("t", "s")


def test_pipelines_get_every_flag_and_full_names() -> None:
    chosen = arguments(
        "--experiment_type=stream",
        "--input_topic=t",
        "--input_subscription=projects/other/subscriptions/s",
        "--temp_location=gs://b/tmp",
    ).on(project="p", prediction_url="http://127.0.0.1:1")
    options = chosen.pipeline_options()
    serving = options.view_as(ServingOptions)
    assert serving.input_topic == "projects/p/topics/t"
    assert serving.input_subscription == "projects/other/subscriptions/s"
    assert serving.prediction_url == "http://127.0.0.1:1"
    everything = options.get_all_options()
    assert everything["streaming"] is True
    assert everything["project"] == "p"
    assert everything["temp_location"] == "gs://b/tmp"


@pytest.mark.parametrize("word", ["--sampel_size=10", "--num_workers=ten"])
def test_flags_that_neither_we_nor_beam_know_are_refused(word: str) -> None:
    with pytest.raises(UsageError, match=word.split("=", maxsplit=1)[0]):
        arguments(word).pipeline_options()


def test_other_runners_may_have_flags_of_their_own() -> None:
    chosen = arguments("--flink_made_up=1", runner="FlinkRunner")
    assert chosen.pipeline_options().get_all_options()["runner"] == "FlinkRunner"

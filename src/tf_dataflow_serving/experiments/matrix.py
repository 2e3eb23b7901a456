"""The seven experiments that the original describes."""

from dataclasses import dataclass

from tf_dataflow_serving.flags import Experiment, InferenceType


@dataclass(frozen=True)
class Combination:
    """An experiment with one way to reach the model."""

    experiment: Experiment
    inference_type: InferenceType

    def __str__(self) -> str:
        return f"{self.experiment} {self.inference_type}"

    @property
    def slug(self) -> str:
        """The combination as part of a name."""
        return f"{self.experiment}-{self.inference_type}".lower()


COMBINATIONS = (
    Combination(Experiment.BATCH, InferenceType.LOCAL),
    Combination(Experiment.BATCH, InferenceType.CMLE),
    Combination(Experiment.BATCH_PREDICT, InferenceType.NOT_APPLICABLE),
    Combination(Experiment.STREAM, InferenceType.LOCAL),
    Combination(Experiment.STREAM, InferenceType.CMLE),
    Combination(Experiment.STREAM_MICRO_BATCHES, InferenceType.LOCAL),
    Combination(Experiment.STREAM_MICRO_BATCHES, InferenceType.CMLE),
)

"""Every experiment by every way to its model: the original's seven, and four by Vertex AI."""

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


COMBINATIONS = tuple(
    Combination(experiment, inference_type)
    for experiment in Experiment
    for inference_type in experiment.inference_types
)

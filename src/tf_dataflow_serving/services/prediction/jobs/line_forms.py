"""What a line of a batch job's input means: the model's instance, and the line of the result."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from tf_dataflow_serving.services.prediction.errors import PredictionFailed
from tf_dataflow_serving.services.prediction.serving.predictions import without_single_names


class LineForm(Protocol):
    """How a job reads lines and writes results; both are what JSON can hold."""

    def instance(self, line: Any) -> object:
        """Return what the model is given; raises PredictionFailed for a line that has none."""

    def result(self, line: Any, prediction: dict[str, Any]) -> object:
        """Return what is written for a line that was predicted."""


@dataclass(frozen=True)
class InstanceLines:
    """A line is the instance, a result the outputs by name.

    So it is in Cloud ML Engine ("Batch prediction", input and output data).
    """

    def instance(self, line: Any) -> object:
        """Return the line."""
        return line

    def result(self, line: Any, prediction: dict[str, Any]) -> object:
        """Return the prediction."""
        del line
        return prediction


class InstanceType(StrEnum):
    """What a record becomes, as in BatchPredictionJob.InstanceConfig.instance_type."""

    AS_IT_IS = ""
    OBJECT = "object"
    ARRAY = "array"


@dataclass(frozen=True)
class RecordLines:
    """A line is a record, of which some fields make the instance.

    So it is in Vertex AI (aiplatform v1, BatchPredictionJob.InstanceConfig). A result has the
    value of the key field, or without one the whole record, beside the prediction.
    """

    instance_type: InstanceType = InstanceType.AS_IT_IS
    key_field: str = ""
    included_fields: tuple[str, ...] = ()
    excluded_fields: tuple[str, ...] = ()

    def instance(self, line: Any) -> object:
        """Return the fields that the model is given, or the line if it is no matter of fields."""
        if not self._has_fields:
            return line
        record = _record(line)
        if self.key_field and self.key_field not in record:
            raise PredictionFailed(f'The key field "{self.key_field}" is missing.')
        fields = self._selected(record)
        return list(fields.values()) if self.instance_type is InstanceType.ARRAY else fields

    def result(self, line: Any, prediction: dict[str, Any]) -> object:
        """Return the prediction with its key or its record."""
        (value,) = without_single_names([prediction])
        if self.key_field:
            return {"key": line[self.key_field], "prediction": value}
        return {"instance": line, "prediction": value}

    @property
    def _has_fields(self) -> bool:
        named = self.key_field or self.included_fields or self.excluded_fields
        return bool(named) or self.instance_type is InstanceType.OBJECT

    def _selected(self, record: Mapping[str, object]) -> dict[str, object]:
        missing = [name for name in self.included_fields if name not in record]
        if missing:
            raise PredictionFailed(f"Included fields are missing: {', '.join(missing)}.")
        left_out = {self.key_field, *self.excluded_fields}
        names = self.included_fields or record
        return {name: record[name] for name in names if name not in left_out}


def _record(line: object) -> Mapping[str, object]:
    if not isinstance(line, dict):
        raise PredictionFailed("A record is expected, an object with fields.")
    return line

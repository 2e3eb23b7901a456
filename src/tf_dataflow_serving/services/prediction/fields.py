"""Typed access to the fields of a JSON object that a user sent."""

import re
from collections.abc import Mapping
from typing import Self

from tf_dataflow_serving.services.prediction.errors import InvalidArgument
from tf_dataflow_serving.services.prediction.proto_json import proto_name

_INT64 = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_HUNDRED = 100
# Wildcards are for names of objects, not of buckets.
_OBJECT_PATH = re.compile(r"gs://[^/*?]+/.+")
_BUCKET_PATH = re.compile(r"gs://[^/*?]+(?:/.*)?")


class Fields:
    """The fields of one object; all of it raises InvalidArgument with the field's path.

    Names are those of the JSON form (`maxWorkerCount`); paths are those of the proto form
    (`prediction_input.max_worker_count`), as in the errors of Google's services.
    """

    def __init__(self, values: Mapping[str, object], path: str) -> None:
        self._values = values
        self._path = path

    def has(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self._values.get(name) is not None

    def refuse(self, name: str, reason: str) -> InvalidArgument:
        """Return the error that says what is wrong with a field."""
        path = f"{self._path}.{proto_name(name)}"
        return InvalidArgument(path.removeprefix("."), reason)

    def text(self, name: str) -> str:
        """Return a string that has to be there."""
        value = self.optional_text(name)
        if not value:
            raise self.refuse(name, "This field is required.")
        return value

    def optional_text(self, name: str) -> str:
        """Return a string, empty if it is not there."""
        value = self._values.get(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self.refuse(name, "A string is expected.")
        return value

    def texts(self, name: str) -> list[str]:
        """Return a list of strings, empty if it is not there."""
        value = self._values.get(name)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.refuse(name, "A list of strings is expected.")
        return value

    def object_path(self, name: str) -> str:
        """Return the gs:// path of an object or of a directory below a bucket."""
        path = self.text(name)
        self._check_path(_OBJECT_PATH, name, path)
        return path

    def object_paths(self, name: str) -> list[str]:
        """Return gs:// paths of objects, at least one, which may have wildcards."""
        paths = self.texts(name)
        if not paths:
            raise self.refuse(name, "This field is required.")
        for path in paths:
            self._check_path(_OBJECT_PATH, name, path)
        return paths

    def bucket_path(self, name: str) -> str:
        """Return the gs:// path of a bucket or of a directory in it."""
        path = self.text(name)
        self._check_path(_BUCKET_PATH, name, path)
        return path

    def count(self, name: str, default: int) -> int:
        """Return a number above 0; int64 is a string in Google's JSON, or a number."""
        value = self._values.get(name)
        if value is None:
            return default
        text = str(value) if isinstance(value, (int, str)) else ""
        if not _INT64.fullmatch(text) or int(text) < 1:
            raise self.refuse(name, "A whole number above 0 is expected.")
        return int(text)

    def texts_by_name(self, name: str) -> dict[str, str]:
        """Return a map of strings, such as labels, empty if it is not there."""
        value = self._values.get(name)
        if value is None:
            return {}
        if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
            raise self.refuse(name, "A map of strings is expected.")
        return value

    def percentages(self, name: str) -> dict[str, int]:
        """Return a map of whole numbers from 0 to 100, empty if it is not there."""
        value = self._values.get(name)
        if value is None:
            return {}
        if not isinstance(value, dict) or not all(map(_is_percentage, value.values())):
            raise self.refuse(name, "A map of whole numbers from 0 to 100 is expected.")
        return {key: int(number) for key, number in value.items()}

    def attributes(self, kinds: Mapping[str, type]) -> dict[str, object]:
        """Return those of the named fields that are there, each of the kind that it has to be."""
        found = {name: self._values[name] for name in kinds if self.has(name)}
        for name, value in found.items():
            if not isinstance(value, kinds[name]):
                raise self.refuse(name, "The value is not of the kind that this field has.")
        return found

    def section(self, name: str) -> Self:
        """Return the fields of an object that has to be there."""
        value = self._values.get(name)
        if not isinstance(value, dict):
            raise self.refuse(name, "This field is required, and an object.")
        return type(self)(value, proto_name(name))

    def optional_section(self, name: str) -> Self:
        """Return the fields of an object, none if it is not there."""
        return self.section(name) if self.has(name) else type(self)({}, proto_name(name))

    def _check_path(self, form: re.Pattern[str], name: str, path: str) -> None:
        if not form.fullmatch(path):
            raise self.refuse(name, f"{path!r} is not a Cloud Storage path, gs://bucket/path.")


def _is_percentage(value: object) -> bool:
    """Whether it is one; an int32 may be a string in Google's JSON."""
    text = str(value) if isinstance(value, (int, str)) else ""
    return bool(_INT64.fullmatch(text)) and 0 <= int(text) <= _HUNDRED

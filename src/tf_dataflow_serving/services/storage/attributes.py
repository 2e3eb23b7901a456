"""The writable fields of bucket and object resources: which exist, and how they change."""

from typing import Any

from tf_dataflow_serving.services.storage.errors import InvalidArgument, Unsupported
from tf_dataflow_serving.services.storage.resources import JsonObject

_OBJECT_TEXTS = frozenset(
    {
        "cacheControl",
        "contentDisposition",
        "contentEncoding",
        "contentLanguage",
        "contentType",
        "customTime",
        "storageClass",
    }
)
_OBJECT_FIELDS = _OBJECT_TEXTS | {"contexts", "eventBasedHold", "metadata", "temporaryHold"}
_BUCKET_OUTPUT_FIELDS = frozenset(
    {
        "etag",
        "generation",
        "id",
        "kind",
        "metageneration",
        "name",
        "project",
        "projectNumber",
        "selfLink",
        "softDeleteTime",
        "timeCreated",
        "updated",
    }
)


def object_attributes(resource: JsonObject) -> JsonObject:
    """Return the writable fields of an object resource that a client sent.

    Raises Unsupported for what would change who may do what, since nothing here would heed it,
    and InvalidArgument for a value of the wrong type.
    """
    for name in ("acl", "retention", "kmsKeyName"):
        if resource.get(name):
            raise Unsupported(f"the object field {name}")
    for name in ("temporaryHold", "eventBasedHold"):
        if resource.get(name):
            raise Unsupported(f"object holds ({name})")
    attributes = {name: resource[name] for name in _OBJECT_FIELDS & resource.keys()}
    for name in _OBJECT_TEXTS & attributes.keys():
        if not isinstance(attributes[name], str | None):
            raise InvalidArgument(f"Invalid value for {name}: {attributes[name]!r} is no string.")
    _check_custom_metadata(attributes.get("metadata"))
    return attributes


def bucket_settings(resource: JsonObject) -> JsonObject:
    """Return the writable fields of a bucket resource that a client sent.

    Raises Unsupported for settings that would change what happens to objects; those that do not
    (labels, location, lifecycle, ...) are kept and shown.
    """
    if _enabled(resource, "versioning"):
        raise Unsupported("object versioning")
    if _enabled(resource, "hierarchicalNamespace"):
        raise Unsupported("hierarchical namespaces")
    for name in ("retentionPolicy", "defaultEventBasedHold", "acl", "defaultObjectAcl"):
        if resource.get(name):
            raise Unsupported(f"the bucket field {name}")
    return {name: value for name, value in resource.items() if name not in _BUCKET_OUTPUT_FIELDS}


def without_nulls(fields: JsonObject) -> JsonObject:
    """Return the fields that have a value; null stands for "not set"."""
    return merge({}, fields)


def merge(current: JsonObject, changes: JsonObject) -> JsonObject:
    """Return `current` after a patch: null removes a field, an object is merged field by field.

    Source: RFC 7396, JSON Merge Patch, as the JSON API's PATCH works.
    """
    merged: dict[str, Any] = dict(current)
    for name, value in changes.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict):
            before = merged.get(name)
            merged[name] = merge(before if isinstance(before, dict) else {}, value)
        else:
            merged[name] = value
    return merged


def _enabled(resource: JsonObject, feature: str) -> bool:
    setting = resource.get(feature)
    return isinstance(setting, dict) and bool(setting.get("enabled"))


def _check_custom_metadata(metadata: Any) -> None:
    if metadata is None:
        return
    if not isinstance(metadata, dict) or not all(
        value is None or isinstance(value, str) for value in metadata.values()
    ):
        raise InvalidArgument("Custom metadata must be an object whose values are strings.")

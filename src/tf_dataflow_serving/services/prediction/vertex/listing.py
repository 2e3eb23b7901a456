"""Lists of resources: filters and orders, in pages."""

import re
from collections.abc import Callable, Sequence

from starlette.requests import Request
from starlette.responses import Response

from tf_dataflow_serving.services.prediction.errors import InvalidArgument
from tf_dataflow_serving.services.prediction.http_json import json_response
from tf_dataflow_serving.services.prediction.pages import page
from tf_dataflow_serving.services.prediction.proto_json import Resource

# A condition up to the next AND that is not in quotes.
_PART = re.compile(r'((?:"[^"]*"|.)+?)(?:\s+AND\s+|\Z)', re.DOTALL)
_CONDITION = re.compile(r'([\w.]+|labels\."[^"]+")\s*(=|!=|:)\s*("[^"]*"|[^\s"]+)')
_LABEL = "labels."
# Names by which a filter asks for the last part of a resource's name.
_IDS = frozenset({"model", "endpoint", "name"})
_ORDERS = {
    "display_name": "displayName",
    "displayName": "displayName",
    "create_time": "createTime",
    "createTime": "createTime",
    "update_time": "updateTime",
    "updateTime": "updateTime",
}
_TEXTS = {
    "display_name": "displayName",
    "displayName": "displayName",
    "state": "state",
    "description": "description",
}


def filtered_page(request: Request, name: str, resources: Sequence[Resource]) -> Response:
    """Return one page of those that the filter lets pass, in order; raises InvalidArgument."""
    matches = _filter(request.query_params.get("filter", ""))
    order = request.query_params.get("orderBy", "")
    found = [resource for resource in resources if matches(resource)]
    return json_response(page(request.query_params, name, _in_order(found, order)))


def _in_order(resources: list[Resource], order: str) -> list[Resource]:
    """Sort by fields, the first one most important (ListModelsRequest.order_by, aiplatform v1)."""
    for part in reversed([part.strip() for part in order.split(",") if part.strip()]):
        field, _, direction = part.partition(" ")
        if field not in _ORDERS or direction.strip() not in ("", "asc", "desc"):
            raise InvalidArgument("order_by", f"Resources cannot be ordered by {part!r}.")
        name = _ORDERS[field]
        resources = sorted(
            resources,
            key=lambda resource: str(resource.get(name, "")),
            reverse=direction.strip() == "desc",
        )
    return resources


def _filter(text: str) -> Callable[[Resource], bool]:
    conditions = [_condition(part) for part in _PART.findall(text.strip())]
    return lambda resource: all(holds(resource) for holds in conditions)


def _condition(text: str) -> Callable[[Resource], bool]:
    """Return a condition (ListModelsRequest.filter, aiplatform v1)."""
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise InvalidArgument("filter", f'{text!r} is not a condition such as display_name="a".')
    field, operator, value = match[1], match[2], match[3].strip('"')
    if operator == ":":
        return _has_label(field, value)
    read = _reader(field)
    if operator == "=":
        return lambda resource: read(resource) == value
    return lambda resource: read(resource) != value


def _has_label(field: str, value: str) -> Callable[[Resource], bool]:
    if field == "labels":
        return lambda resource: value in _labels(resource)
    if field.startswith(_LABEL) and value == "*":
        return _has_label("labels", field.removeprefix(_LABEL).strip('"'))
    raise InvalidArgument("filter", f"{field!r} cannot be asked for with a colon, only labels.")


def _reader(field: str) -> Callable[[Resource], object]:
    if field.startswith(_LABEL):
        label = field.removeprefix(_LABEL).strip('"')
        return lambda resource: _labels(resource).get(label)
    if field in _IDS:
        return lambda resource: str(resource["name"]).rpartition("/")[2].partition("@")[0]
    if field in _TEXTS:
        return lambda resource: resource.get(_TEXTS[field], "")
    raise InvalidArgument("filter", f"Resources cannot be filtered by {field!r}.")


def _labels(resource: Resource) -> dict[str, str]:
    labels = resource.get("labels")
    return labels if isinstance(labels, dict) else {}

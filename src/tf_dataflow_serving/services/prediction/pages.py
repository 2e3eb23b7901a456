"""Lists in pages, as Google's APIs give them (AIP-158)."""

from collections.abc import Mapping, Sequence

from tf_dataflow_serving.services.prediction.errors import InvalidArgument
from tf_dataflow_serving.services.prediction.proto_json import Resource

_DEFAULT_PAGE_SIZE = 100


def page(query: Mapping[str, str], name: str, resources: Sequence[Resource]) -> Resource:
    """Return the page that the query asks for, its list under that name.

    A page's token is where it begins. Raises InvalidArgument.
    """
    start = _number(query, "pageToken", 0)
    size = _number(query, "pageSize", 0) or _DEFAULT_PAGE_SIZE
    content: Resource = {name: resources[start : start + size]}
    if start + size < len(resources):
        content["nextPageToken"] = str(start + size)
    return content


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name) or str(default)
    if not (text.isdecimal() and text.isascii() and len(text) < 10):
        raise InvalidArgument(name, f"{text!r} is not valid.")
    return int(text)

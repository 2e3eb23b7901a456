"""The names of resources in paths."""

from starlette.requests import Request

from tf_dataflow_serving.services.prediction.locations import location_name


def parent(request: Request) -> str:
    """Return the location that a request is about, projects/PROJECT/locations/LOCATION."""
    path = request.path_params
    return location_name(path["project"], path["location"])


def split_version(name: str) -> tuple[str, str]:
    """Return the id in MODEL or MODEL@VERSION, and the version or alias; @- means none."""
    model_id, _, version = name.partition("@")
    return model_id, "" if version == "-" else version

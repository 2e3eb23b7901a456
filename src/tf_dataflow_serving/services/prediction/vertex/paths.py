"""The names of resources in paths."""

from starlette.requests import Request


def parent(request: Request) -> str:
    """Return the location that a request is about, projects/PROJECT/locations/LOCATION."""
    path = request.path_params
    return f"projects/{path['project']}/locations/{path['location']}"


def split_version(name: str) -> tuple[str, str]:
    """Return the id in MODEL or MODEL@VERSION, and the version or alias; @- means none."""
    model_id, _, version = name.partition("@")
    return model_id, "" if version == "-" else version

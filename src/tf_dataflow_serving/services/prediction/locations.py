"""What Vertex AI has its models and endpoints in."""


def location_name(project: str, location: str) -> str:
    """Return the name of a location, which those of its models and endpoints begin with."""
    return f"projects/{project}/locations/{location}"

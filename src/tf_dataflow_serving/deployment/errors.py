"""Why a model is not deployed."""

from tf_dataflow_serving.errors import UserError


class DeploymentFailed(UserError):
    """The service could not deploy the model; the text has its reason."""


class VersionExists(UserError):
    """The model has such a version already, which a deployment does not replace."""

    def __init__(self, model: str, version: str) -> None:
        super().__init__(f"model {model} has a version {version} already: name another one")

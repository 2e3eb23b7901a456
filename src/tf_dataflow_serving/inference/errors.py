"""Why there is no estimate, or no answer, from a model or a prediction service."""

from tf_dataflow_serving.errors import UserError


class PredictionRejected(UserError):
    """The model will never predict these instances; with several, one may be to blame for all."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class EndpointRefused(PredictionRejected):
    """The endpoint refuses whatever it is asked: a wrong name, no permission, another protocol."""


class PredictionUnavailable(UserError):
    """The service kept failing until the retries' deadline; later it may answer."""


class JobFailed(UserError):
    """A batch prediction job ended without results; `reason` is the service's."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class JobTimedOut(UserError):
    """A batch prediction job did not end in time; it goes on."""

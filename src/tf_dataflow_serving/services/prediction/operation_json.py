"""google.longrunning.Operation in JSON; its metadata is of a form of each protocol's own."""

from tf_dataflow_serving.services.prediction.operations import Operation
from tf_dataflow_serving.services.prediction.proto_json import Resource

# google.rpc.Code: an operation that failed did so for the state of what it was given.
_FAILED_PRECONDITION = 9


def operation_json(operation: Operation, metadata: Resource) -> Resource:
    """Return an Operation, with its outcome once it is done."""
    outcome = _outcome(operation) if operation.done else {}
    return {"name": operation.name, "metadata": metadata, **outcome}


def _outcome(operation: Operation) -> Resource:
    if operation.error is not None:
        return {
            "done": True,
            "error": {"code": _FAILED_PRECONDITION, "message": operation.error},
        }
    return {"done": True, "response": operation.response}

"""What can be wrong with a model; free of TensorFlow, so that any edge can map it."""

from tf_dataflow_serving.errors import UserError


class ModelNotFound(UserError):
    """A directory does not exist or holds no SavedModel."""


class ContractMismatch(UserError):
    """A SavedModel's signature is not the one that serving relies on."""


class TooFewRows(UserError):
    """There are not enough births to train on some and to hold some out."""


class OutputExists(UserError):
    """The directory that a model is to be written to holds something already."""

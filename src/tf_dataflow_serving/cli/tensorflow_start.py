"""Starts TensorFlow without its remarks on drivers that nobody asked for."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def start_tensorflow() -> None:
    """Import TensorFlow and let it look for devices.

    On the way it writes to standard error from C++, before any setting of its log applies.
    What fails raises as ever.
    """
    with _standard_error_hidden():
        import tensorflow as tf

        tf.config.list_logical_devices()


@contextmanager
def _standard_error_hidden() -> Iterator[None]:
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)

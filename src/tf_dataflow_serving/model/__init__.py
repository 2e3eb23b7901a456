"""The model that estimates a birth's weight: its contract, its training, and one that ships."""

from pathlib import Path
from typing import Final

SHIPPED: Final = Path(__file__).parent / "babyweight"
"""Directory of the SavedModel that comes with this package."""

KEYED_SIGNATURE_NAME: Final = "predict_keyed"
KEY: Final = "key"
"""Signature, and its string input and output, that batch prediction jobs join by."""

# What SHIPPED was trained with.
DEFAULT_ROWS: Final = 200_000
DEFAULT_EPOCHS: Final = 8
DEFAULT_SEED: Final = 2005

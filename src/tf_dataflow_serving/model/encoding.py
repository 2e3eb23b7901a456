"""Features to numbers, inside the graph: what goes over the wire is what the contract says.

Words and borders are constants of the graph, so that a SavedModel has no files beside it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final

import tensorflow as tf

from tf_dataflow_serving.natality.schema import FEATURES, CategoricalFeature

Tensors = Mapping[str, Any]

_CATEGORIES = [feature for feature in FEATURES if isinstance(feature, CategoricalFeature)]
_WORDS = list(dict.fromkeys(word for feature in _CATEGORIES for word in feature.vocabulary))
# One number for each word, whatever the feature; 0 is for words that are in no vocabulary.
_WORD_COUNT = len(_WORDS) + 1
_RACE = [feature.name for feature in _CATEGORIES].index("mother_race")

_AGE_BORDERS = [18.0, 22.0, 26.0, 30.0, 34.0, 38.0, 42.0]
_PLURALITY_BORDERS = [1.5, 2.5]
_WEEK_BORDERS = [22.0, 26.0, 29.0, 31.0, 33.0, 35.0, 36.0, 37.0, 38.0, 39.0, 40.0, 41.0, 42.0]
_AGES, _PLURALITIES, _WEEKS = (
    len(borders) + 1 for borders in (_AGE_BORDERS, _PLURALITY_BORDERS, _WEEK_BORDERS)
)

NUMBERS: Final = ("mother_age", "plurality", "gestation_weeks")
# Mean and deviation, so that the network sees numbers around 0.
_CENTRES = [27.3, 1.0, 38.6]
_SCALES = [6.2, 1.0, 2.6]

CATEGORY_COUNT: Final = len(_CATEGORIES)
_WIDE_SIZES = [
    *[_WORD_COUNT] * CATEGORY_COUNT,
    _AGES,
    _PLURALITIES,
    _WEEKS,
    _WORD_COUNT * _AGES,
    _PLURALITIES * _WEEKS,
]
CATEGORY_SIZE: Final = _WORD_COUNT * CATEGORY_COUNT
WIDE_COLUMNS: Final = len(_WIDE_SIZES)
WIDE_SIZE: Final = sum(_WIDE_SIZES)
_WIDE_OFFSETS = list(accumulate(_WIDE_SIZES[:-1], initial=0))


@dataclass(frozen=True)
class Encoded:
    """What the network takes.

    `wide`: int32 [n, WIDE_COLUMNS], each below WIDE_SIZE: the categories in the first
    CATEGORY_COUNT columns, each below CATEGORY_SIZE, then buckets of the numbers, then the
    crosses race x age and plurality x gestation. `numbers`: float32 [n, 3], around 0.
    """

    wide: Any
    numbers: Any


class Encoder(tf.Module):  # type: ignore[misc] # TensorFlow ships no types
    """Encodes features, tensors of shape [n] by name; holds the table of words."""

    def __init__(self) -> None:
        super().__init__()
        numbers = tf.range(1, _WORD_COUNT)
        entries = tf.lookup.KeyValueTensorInitializer(tf.constant(_WORDS), numbers)
        self._words = tf.lookup.StaticHashTable(entries, default_value=0)

    def __call__(self, features: Tensors) -> Encoded:
        """Return the features as the network takes them."""
        words = [features[feature.name] for feature in _CATEGORIES]
        categories = self._words.lookup(tf.stack(words, axis=1))
        numbers = tf.stack([features[name] for name in NUMBERS], axis=1)
        wide = tf.concat([categories, _buckets(features, categories[:, _RACE])], axis=1)
        return Encoded(wide + tf.constant(_WIDE_OFFSETS), (numbers - _CENTRES) / _SCALES)


def _buckets(features: Tensors, race: Any) -> Any:
    age = _bucket(features["mother_age"], _AGE_BORDERS)
    plurality = _bucket(features["plurality"], _PLURALITY_BORDERS)
    weeks = _bucket(features["gestation_weeks"], _WEEK_BORDERS)
    crosses = [race * _AGES + age, plurality * _WEEKS + weeks]
    return tf.stack([age, plurality, weeks, *crosses], axis=1)


def _bucket(numbers: Any, borders: list[float]) -> Any:
    return tf.raw_ops.Bucketize(input=numbers, boundaries=borders)

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_dataflow_serving.services.bigquery.errors import InvalidRequest
from tf_dataflow_serving.services.bigquery.labels import LabelFilter

NAMES = st.from_regex(r"[a-z][a-z0-9_-]{0,10}", fullmatch=True)
LABELS = st.dictionaries(NAMES, NAMES, max_size=5)


@pytest.mark.parametrize(
    ("expression", "labels", "admitted"),
    [
        ("", {}, True),
        ("labels.team:red", {"team": "red"}, True),
        ("labels.team:red", {"team": "blue"}, False),
        ("labels.team:red", {}, False),
        ("labels.team", {"team": "blue"}, True),
        ("labels.team", {"other": "blue"}, False),
        ("labels.team:*", {"team": "blue"}, True),
        ("labels.a:1 labels.b:2 ", {"a": "1", "b": "2"}, True),
        ("labels.a:1 labels.b:2 ", {"a": "1"}, False),
        ("labels.a:1 AND labels.b:2", {"a": "1", "b": "2"}, True),
        ("labels.a:", {"a": ""}, True),
        ("labels.a:", {"a": "1"}, False),
    ],
)
def test_a_dataset_is_admitted_when_every_term_holds(
    expression: str, labels: dict[str, str], admitted: bool
) -> None:
    assert LabelFilter.parse(expression).admits(labels) is admitted


@pytest.mark.parametrize("expression", ["team:red", "labels", "labels.:x", "name:x labels.a:b"])
def test_what_is_no_label_term_is_refused(expression: str) -> None:
    with pytest.raises(InvalidRequest):
        LabelFilter.parse(expression)


@given(wanted=LABELS, present=LABELS)
def test_a_filter_by_labels_admits_exactly_who_has_them_all(
    wanted: dict[str, str], present: dict[str, str]
) -> None:
    expression = " ".join(f"labels.{key}:{value}" for key, value in wanted.items())
    admitted = LabelFilter.parse(expression).admits(present)
    assert admitted is (wanted.items() <= present.items())

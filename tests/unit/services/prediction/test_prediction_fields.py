import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_dataflow_serving.services.prediction.errors import InvalidArgument
from tf_dataflow_serving.services.prediction.fields import Fields

values = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text())


@pytest.mark.parametrize("count", ["12", 12])
def test_counts_are_int64_in_either_form(count):
    assert Fields({"maxWorkerCount": count}, "job").count("maxWorkerCount", 1) == 12


@pytest.mark.parametrize("count", ["", "0", -1, True, 1.5, "1e3", "٣", "9" * 30, [], {}])
def test_says_which_field_is_not_a_count(count):
    with pytest.raises(InvalidArgument, match=r"Field: job\.max_worker_count Error: A whole"):
        Fields({"maxWorkerCount": count}, "job").count("maxWorkerCount", 1)


def test_sections_have_paths_of_their_own():
    section = Fields({"predictionInput": {}}, "job").section("predictionInput")
    with pytest.raises(InvalidArgument, match=r"prediction_input\.region"):
        section.text("region")
    none = Fields({}, "job").optional_section("predictionInput")
    with pytest.raises(InvalidArgument, match=r"prediction_input\.region"):
        none.text("region")


@pytest.mark.parametrize("path", ["gs://b/o", "gs://b/d/", "gs://b/d/*"])
def test_an_object_is_below_a_bucket(path):
    fields = Fields({"uri": path, "inputPaths": [path]}, "job")
    assert fields.object_path("uri") == fields.bucket_path("uri") == path
    assert fields.object_paths("inputPaths") == [path]


@pytest.mark.parametrize("path", ["", "b/o", "/etc/passwd", "gs://", "gs:///o", "gs://b*/o", 1])
def test_a_path_without_a_bucket_is_refused(path):
    fields = Fields({"uri": path, "inputPaths": [path]}, "job")
    for read in (fields.object_path, fields.bucket_path):
        with pytest.raises(InvalidArgument, match=r"job\.uri"):
            read("uri")
    with pytest.raises(InvalidArgument, match=r"job\.input_paths"):
        fields.object_paths("inputPaths")


@pytest.mark.parametrize("path", ["gs://b", "gs://b/"])
def test_a_bucket_alone_is_no_object(path):
    fields = Fields({"uri": path}, "job")
    assert fields.bucket_path("uri") == path
    with pytest.raises(InvalidArgument, match=r"job\.uri"):
        fields.object_path("uri")


@given(values)
def test_any_value_is_of_the_type_asked_for_or_refused(value):
    fields = Fields({"name": value}, "model")
    for read, kind in (
        (fields.optional_text, str),
        (fields.text, str),
        (fields.texts, list),
        (fields.section, Fields),
    ):
        try:
            assert isinstance(read("name"), kind)
        except InvalidArgument as error:
            assert error.field == "model.name"

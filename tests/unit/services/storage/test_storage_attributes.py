"""How resources change, and which names buckets have."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_dataflow_serving.services.storage.attributes import merge, object_attributes, without_nulls
from tf_dataflow_serving.services.storage.errors import InvalidArgument, Unsupported
from tf_dataflow_serving.services.storage.names import check_bucket_name

plain = st.recursive(
    st.one_of(st.integers(), st.text(), st.lists(st.integers())),
    lambda inner: st.dictionaries(st.text(max_size=2), inner, max_size=3),
)
objects = st.dictionaries(st.text(max_size=2), plain, max_size=4)


# RFC 7396, appendix A, as far as it is about objects.
@pytest.mark.parametrize(
    ("current", "changes", "expected"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch(current: Any, changes: Any, expected: Any) -> None:
    assert merge(current, changes) == expected


@given(objects, objects)
def test_a_patch_without_nulls_holds_afterwards(current: Any, changes: Any) -> None:
    once = merge(current, changes)
    assert merge(once, changes) == once
    assert current.keys() | changes.keys() == once.keys()


@given(objects)
def test_nulls_are_no_values(fields: Any) -> None:
    assert without_nulls({**fields, "null": None}) == {
        k: v for k, v in fields.items() if k != "null"
    }


def test_only_writable_fields_are_kept() -> None:
    resource = {"name": "x", "size": "1", "md5Hash": "x", "generation": "5", "contentType": "a/b"}
    assert object_attributes(resource) == {"contentType": "a/b"}


@pytest.mark.parametrize(
    "resource",
    [{"metadata": {"a": 1}}, {"metadata": "a"}, {"contentType": 1}, {"cacheControl": []}],
)
def test_values_of_the_wrong_type(resource: Any) -> None:
    with pytest.raises(InvalidArgument):
        object_attributes(resource)


@pytest.mark.parametrize("field", ["acl", "retention", "kmsKeyName", "eventBasedHold"])
def test_what_nothing_would_heed_is_refused(field: str) -> None:
    with pytest.raises(Unsupported):
        object_attributes({field: "anything"})


@pytest.mark.parametrize("name", ["abc", "a-b_c.d", "0a0", "a" * 63, ".".join(["a" * 63] * 3)])
def test_bucket_names(name: str) -> None:
    check_bucket_name(name)


@pytest.mark.parametrize(
    "name",
    ["", "ab", "a" * 64, "Abc", "a b", "-abc", "abc-", "a..b", "ü-ü", "a/b", "abc\n", "../a"],
)
def test_names_no_bucket_has(name: str) -> None:
    with pytest.raises(InvalidArgument):
        check_bucket_name(name)

"""Filters, orders and pages of lists."""

import json
from urllib.parse import urlencode

import pytest
from starlette.requests import Request

from tf_dataflow_serving.services.prediction.errors import InvalidArgument
from tf_dataflow_serving.services.prediction.vertex.listing import filtered_page

NAME = "projects/p/locations/l/models"
RESOURCES = [
    {
        "name": f"{NAME}/1",
        "displayName": "a",
        "labels": {"color": "red", "two words": "x"},
        "createTime": "2020-01-02T00:00:00.000000Z",
    },
    {"name": f"{NAME}/2@7", "displayName": "b b", "labels": {"color": "blue"}},
    {
        "name": f"{NAME}/3",
        "displayName": "a",
        "state": "JOB_STATE_FAILED",
        "createTime": "2020-01-03",
        "labels": None,
    },
    {"name": f"{NAME}/4", "displayName": "c AND d"},
]


def listed(**query: str) -> dict:
    scope = {"type": "http", "query_string": urlencode(query).encode(), "headers": []}
    return json.loads(filtered_page(Request(scope), "models", RESOURCES).body)


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("", "1234"),
        ("  ", "1234"),
        ('display_name="a"', "13"),
        ('displayName = "b b"', "2"),
        ("display_name!=a", "24"),
        ("model=2", "2"),
        ('model!="2"', "134"),
        ("labels.color=red", "1"),
        ('labels.color!="red"', "234"),
        ('labels."two words"=x', "1"),
        ("labels:color", "12"),
        ("labels.color:*", "12"),
        ('state="JOB_STATE_FAILED"', "3"),
        ('display_name="a" AND labels.color="red"', "1"),
        ('display_name="a" AND display_name="b b"', ""),
        ('display_name="c AND d"', "4"),
        ('display_name!="a" AND  display_name!="c AND d"', "2"),
    ],
)
def test_a_filter_lets_pass_what_meets_all_conditions(condition, found):
    names = [
        resource["name"].removeprefix(f"{NAME}/") for resource in listed(filter=condition)["models"]
    ]
    assert "".join(name[0] for name in names) == found


@pytest.mark.parametrize(
    "condition",
    [
        "a",
        "size=3",
        "display_name>a",
        'display_name="a" OR state="b"',
        "display_name:a",
        "=a",
        'display_name="a AND model=1',
    ],
)
def test_a_filter_that_is_not_understood_is_refused(condition):
    with pytest.raises(InvalidArgument, match="filter"):
        listed(filter=condition)


@pytest.mark.parametrize(
    ("order", "found"),
    [
        ("", "1234"),
        ("display_name", "1324"),
        ("displayName desc", "4213"),
        ("display_name, create_time desc", "3124"),
        ("create_time asc", "2413"),
    ],
)
def test_an_order_is_that_of_fields_one_after_the_other(order, found):
    names = [resource["name"] for resource in listed(orderBy=order)["models"]]
    assert "".join(name.removeprefix(f"{NAME}/")[0] for name in names) == found


@pytest.mark.parametrize("order", ["size", "display_name down", "labels"])
def test_an_order_that_is_not_understood_is_refused(order):
    with pytest.raises(InvalidArgument, match="order_by"):
        listed(orderBy=order)


def test_pages_follow_each_other():
    first = listed(pageSize="2")
    second = listed(pageSize="2", pageToken=first["nextPageToken"])
    assert first["models"] + second["models"] == RESOURCES
    assert "nextPageToken" not in second


def test_a_filter_comes_before_the_pages():
    first = listed(filter="display_name=a", pageSize="1")
    second = listed(filter="display_name=a", pageSize="1", pageToken=first["nextPageToken"])
    assert [*first["models"], *second["models"]] == [RESOURCES[0], RESOURCES[2]]


@pytest.mark.parametrize("query", [{"pageSize": "x"}, {"pageToken": "-1"}, {"pageSize": "²"}])
def test_a_page_that_makes_no_sense_is_refused(query):
    with pytest.raises(InvalidArgument):
        listed(**query)

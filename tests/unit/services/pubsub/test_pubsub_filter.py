"""The filter language."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_dataflow_serving.services.pubsub.errors import InvalidArgument
from tf_dataflow_serving.services.pubsub.filter import parse_filter

COM = {"name": "com"}
NET = {"name": "net"}
LANGUAGE = {"iana.org/language_tag": "en"}


@pytest.mark.parametrize(
    ("text", "accepted", "refused"),
    [
        ("", [COM, {}], []),
        ("attributes:name", [COM, {"name": ""}], [{}, LANGUAGE]),
        ("NOT attributes:name", [{}], [COM]),
        ("-attributes:name", [{}], [COM]),
        ('attributes:"iana.org/language_tag"', [LANGUAGE], [COM]),
        ('attributes.name = "com"', [COM], [NET, {}, {"name": "Com"}]),
        ('attributes.name="com"', [COM], [NET]),
        ('attributes.name != "com"', [NET, {}], [COM]),
        ('attributes."iana.org/language_tag" = "en"', [LANGUAGE], [{}]),
        ('hasPrefix(attributes.name, "co")', [COM], [NET, {}]),
        (
            'attributes:name AND NOT hasPrefix(attributes.name,"co")',
            [NET],
            [COM, {}],
        ),
        ('attributes.name = "com" OR attributes.name = "net"', [COM, NET], [{}]),
        (
            '(attributes:a OR attributes:b) AND attributes.name = "com"',
            [{"a": "", **COM}, {"b": "", **COM}],
            [COM, {"a": ""}],
        ),
        ("attributes:a AND attributes:b AND -attributes:c", [{"a": "", "b": ""}], [{"a": ""}]),
        ("NOT (attributes:a OR attributes:b)", [{}], [{"a": ""}, {"b": ""}]),
        ('attributes.a-b_9 = ""', [{"a-b_9": ""}], [{}]),
        (r'attributes.name = "a\"b\\c\n\u00e9\x41\101"', [{"name": 'a"b\\c\né' + "AA"}], [{}]),
        ("\n attributes\t: name ", [COM], [{}]),
    ],
)
def test_a_filter_selects(text, accepted, refused):
    selects = parse_filter(text)
    assert all(selects(attributes) for attributes in accepted)
    assert not any(selects(attributes) for attributes in refused)


@pytest.mark.parametrize(
    "text",
    [
        " ",
        "attributes",
        "name",
        "attributes:",
        "attributes.name",
        "attributes.name =",
        "attributes.name = com",
        "attributes.name = 'com'",
        'attributes.name > "com"',
        'attributes.name = "com',
        "attributes:name and attributes:other",
        "attributes:a AND attributes:b OR attributes:c",
        "attributes:a attributes:b",
        "attributes:a AND",
        "NOT NOT attributes:a",
        "(attributes:a",
        "attributes:a)",
        "hasPrefix(attributes.name)",
        'hasPrefix(attributes:name, "a")',
        'data = "x"',
        r'attributes.name = "\UFFFFFFFF"',
        "(" * 256,
        "-(" * 128,
    ],
)
def test_what_is_no_filter_is_refused(text):
    with pytest.raises(InvalidArgument):
        parse_filter(text)


def test_a_filter_has_256_bytes_at_most():
    longest = f'attributes.name = "{"x" * 237}"'
    assert len(longest) == 257
    with pytest.raises(InvalidArgument, match="longer than 256 bytes"):
        parse_filter(longest)
    parse_filter(longest.replace("xx", "x", 1))


def test_the_deepest_filter_works():
    depth = 60
    selects = parse_filter("-(" * depth + "attributes:a" + ")" * depth)
    assert selects({"a": ""})


@given(st.text(max_size=80))
def test_any_text_is_a_filter_or_refused(text):
    try:
        selects = parse_filter(text)
    except InvalidArgument:
        return
    assert selects({"a": "b"}) in (True, False)


TOKENS = ["attributes", ".", ":", "a", '"b"', "=", "!=", "AND", "OR", "NOT", "-", "(", ")", ","]


@given(st.lists(st.sampled_from([*TOKENS, "hasPrefix"]), max_size=30))
def test_any_tokens_are_a_filter_or_refused(tokens):
    try:
        selects = parse_filter(" ".join(tokens))
    except InvalidArgument:
        return
    assert selects({"a": "b"}) in (True, False)


@given(st.text(max_size=30))
def test_a_quoted_value_is_that_value(value):
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    assert parse_filter(f'attributes.a = "{escaped}"')({"a": value})

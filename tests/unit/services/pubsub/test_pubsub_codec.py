"""Requests and resources between protobuf and the broker."""

import pytest
from google.protobuf import duration_pb2
from hypothesis import given
from hypothesis import strategies as st

from tf_dataflow_serving.services.pubsub import codec, limits, wire
from tf_dataflow_serving.services.pubsub.clock import SECOND
from tf_dataflow_serving.services.pubsub.consumer import FlowLimits
from tf_dataflow_serving.services.pubsub.delivery import AckId, Delivered
from tf_dataflow_serving.services.pubsub.errors import InvalidArgument, Unsupported
from tf_dataflow_serving.services.pubsub.message import Draft, Message
from tf_dataflow_serving.services.pubsub.resources import SubscriptionSettings, TopicSettings

MINUTE = duration_pb2.Duration(seconds=600)


def test_settings_are_read():
    request = wire.Subscription(
        name="n",
        topic="t",
        ack_deadline_seconds=30,
        labels={"a": "b"},
        enable_message_ordering=True,
        filter="attributes:a",
    )
    assert codec.subscription_settings(request) == SubscriptionSettings(
        30, {"a": "b"}, True, "attributes:a"
    )
    assert codec.subscription_settings(wire.Subscription()) == SubscriptionSettings()
    assert codec.topic_settings(wire.Topic(labels={"a": "b"})) == TopicSettings({"a": "b"})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("push_config", {"push_endpoint": "https://example.com"}),
        ("bigquery_config", {"table": "p.d.t"}),
        ("cloud_storage_config", {"bucket": "b"}),
        ("retain_acked_messages", True),
        ("message_retention_duration", MINUTE),
        ("expiration_policy", {"ttl": MINUTE}),
        ("dead_letter_policy", {"dead_letter_topic": "t"}),
        ("retry_policy", {"minimum_backoff": MINUTE}),
        ("retry_policy", {}),
        ("enable_exactly_once_delivery", True),
    ],
)
def test_a_subscription_feature_that_is_not_there_is_named(field, value):
    with pytest.raises(Unsupported, match=rf"^Subscription\.{field} is not supported"):
        codec.subscription_settings(wire.Subscription(**{field: value}))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("message_storage_policy", {"allowed_persistence_regions": ["europe-west1"]}),
        ("kms_key_name", "k"),
        ("schema_settings", {"schema": "s"}),
        ("message_retention_duration", MINUTE),
    ],
)
def test_a_topic_feature_that_is_not_there_is_named(field, value):
    with pytest.raises(Unsupported, match=rf"^Topic\.{field} is not supported"):
        codec.topic_settings(wire.Topic(**{field: value}))


@pytest.mark.parametrize("field", ["push_config", "expiration_policy"])
def test_an_empty_message_that_asks_for_the_default_is_taken(field):
    assert codec.subscription_settings(wire.Subscription(**{field: {}})) == SubscriptionSettings()


def update(*paths: str, **fields: object) -> wire.Proto:
    request = wire.UpdateSubscriptionRequest(subscription=wire.Subscription(**fields))
    request.update_mask.paths.extend(paths)
    return request


def test_an_update_changes_what_the_mask_names():
    request = update("labels", ack_deadline_seconds=60, labels={"a": "b"})
    assert codec.subscription_changes(request) == {"labels": {"a": "b"}}
    request = update("ack_deadline_seconds", ack_deadline_seconds=60)
    assert codec.subscription_changes(request) == {"ack_deadline_seconds": 60}


@pytest.mark.parametrize(
    ("path", "error", "why"),
    [
        (None, InvalidArgument, "non-empty"),
        ("nonsense", InvalidArgument, "no field"),
        ("filter", InvalidArgument, "immutable"),
        ("name", InvalidArgument, "immutable"),
        ("enable_message_ordering", InvalidArgument, "immutable"),
        ("retry_policy", Unsupported, r"Subscription\.retry_policy"),
        ("push_config.push_endpoint", Unsupported, r"Subscription\.push_config"),
    ],
)
def test_other_updates_are_refused(path, error, why):
    with pytest.raises(error, match=why):
        codec.subscription_changes(update(*filter(None, [path])))


def test_a_delivered_message_is_written_to_the_nanosecond():
    message = Message(7, 1_600_000_000 * SECOND + 123_456_789, Draft(b"\0\xff", {"a": "é"}, "k"))
    response = wire.PullResponse()
    codec.fill_received(response.received_messages, [Delivered("1-7-1", message, 1)])
    (received,) = response.received_messages
    assert (received.ack_id, received.delivery_attempt) == ("1-7-1", 0)
    assert received.message.publish_time.ToNanoseconds() == message.publish_time
    assert received.message.message_id == "7"
    assert codec.drafts(wire.PublishRequest(messages=[received.message])) == [message.content]


@pytest.mark.parametrize("number", [0, -1])
def test_no_flow_limit_is_none(number):
    request = wire.StreamingPullRequest(
        max_outstanding_messages=number, max_outstanding_bytes=number
    )
    assert codec.flow_limits(request) == FlowLimits(None, None)


def test_flow_limits_are_read():
    request = wire.StreamingPullRequest(max_outstanding_messages=3, max_outstanding_bytes=4)
    assert codec.flow_limits(request) == FlowLimits(3, 4)


def test_deadlines_belong_to_ack_ids_one_by_one():
    request = wire.StreamingPullRequest(
        modify_deadline_ack_ids=["a", "b"], modify_deadline_seconds=[1, 0]
    )
    assert list(codec.deadline_changes(request)) == [("a", 1), ("b", 0)]
    request.modify_deadline_seconds.pop()
    with pytest.raises(InvalidArgument, match="2 modify_deadline_ack_ids"):
        codec.deadline_changes(request)


def test_sizes_are_limited():
    def publication(size: int) -> wire.Proto:
        return wire.PublishRequest(messages=[{"data": b"x" * size}])

    codec.check_publish_size(publication(limits.PUBLISH_REQUEST_BYTES - 100))
    with pytest.raises(InvalidArgument, match="exceeds the limit"):
        codec.check_publish_size(publication(limits.PUBLISH_REQUEST_BYTES))
    with pytest.raises(InvalidArgument, match="exceeds the limit"):
        codec.check_acknowledgement(wire.AcknowledgeRequest(ack_ids=["x" * 1024] * 512))
    with pytest.raises(InvalidArgument, match="No ack ids"):
        codec.check_acknowledgement(wire.AcknowledgeRequest())


TEXTS = st.text(max_size=300)


@given(
    st.integers(1, 2**63),
    st.integers(1, 2**62),
    st.binary(max_size=300),
    st.dictionaries(TEXTS, TEXTS, max_size=5),
    TEXTS,
)
def test_a_message_takes_no_more_of_a_response_than_it_says(number, time, data, attributes, key):
    message = Message(number, time, Draft(data, attributes, key))
    response = wire.PullResponse()
    ack_id = str(AckId(2**32, number, 2**16))
    codec.fill_received(response.received_messages, [Delivered(ack_id, message, 1)])
    assert response.ByteSize() <= message.encoded_size

"""Messages and acknowledgements between protobuf and the broker."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_dataflow_serving.services.pubsub import limits
from tf_dataflow_serving.services.pubsub.clock import SECOND
from tf_dataflow_serving.services.pubsub.consumer import FlowLimits
from tf_dataflow_serving.services.pubsub.delivery import AckId, Delivered
from tf_dataflow_serving.services.pubsub.errors import InvalidArgument
from tf_dataflow_serving.services.pubsub.message import Draft, Message
from tf_dataflow_serving.services.pubsub.protocol import codec, wire


def test_a_delivered_message_is_written_to_the_nanosecond():
    message = Message(7, 1_600_000_000 * SECOND + 123_456_789, Draft(b"\0\xff", {"a": "é"}, "k"))
    response = wire.PullResponse()
    codec.fill_received(response.received_messages, [Delivered("1-7-1", message, 0)])
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
    ack_id = str(AckId(number, number, number))
    codec.fill_received(response.received_messages, [Delivered(ack_id, message, 1)])
    assert response.ByteSize() <= message.encoded_size

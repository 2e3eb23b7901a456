"""Topics and subscriptions, and what is refused, by Google's own clients."""

import grpc
import pytest
from google.api_core import exceptions
from google.protobuf import field_mask_pb2
from google.pubsub_v1 import types
from google.pubsub_v1.services.schema_service import SchemaServiceClient
from google.pubsub_v1.services.schema_service.transports import SchemaServiceGrpcTransport

WAIT_SECONDS = 30.0


def test_a_topic_lives_from_creation_to_deletion(publisher, project):
    name = f"{project}/topics/top"
    made = publisher.create_topic(request={"name": name, "labels": {"a": "b"}})
    assert (made.name, dict(made.labels)) == (name, {"a": "b"})
    assert publisher.get_topic(topic=name) == made
    changed = publisher.update_topic(
        topic=types.Topic(name=name, labels={"c": "d"}),
        update_mask=field_mask_pb2.FieldMask(paths=["labels"]),
    )
    assert dict(changed.labels) == {"c": "d"}
    assert publisher.get_topic(topic=name) == changed
    publisher.delete_topic(topic=name)
    with pytest.raises(exceptions.NotFound):
        publisher.get_topic(topic=name)


def test_a_subscription_lives_from_creation_to_deletion(subscriber, topic, project):
    name = f"{project}/subscriptions/sub"
    made = subscriber.create_subscription(name=name, topic=topic)
    assert (made.topic, made.ack_deadline_seconds, made.detached) == (topic, 10, False)
    changed = subscriber.update_subscription(
        subscription=types.Subscription(name=name, ack_deadline_seconds=60, labels={"a": "b"}),
        update_mask=field_mask_pb2.FieldMask(paths=["ack_deadline_seconds"]),
    )
    assert (changed.ack_deadline_seconds, dict(changed.labels)) == (60, {})
    assert subscriber.get_subscription(subscription=name) == changed
    subscriber.delete_subscription(subscription=name)
    with pytest.raises(exceptions.NotFound):
        subscriber.get_subscription(subscription=name)


def test_lists_come_in_pages(publisher, subscriber, project):
    topics = [publisher.create_topic(name=f"{project}/topics/top-{n}").name for n in (2, 0, 1)]
    names = sorted(f"{project}/subscriptions/sub-{number}" for number in range(5))
    for name in names:
        subscriber.create_subscription(name=name, topic=topics[0])
    listed = publisher.list_topics(request={"project": project, "page_size": 2})
    assert [one.name for one in listed] == sorted(topics)
    by_project = subscriber.list_subscriptions(request={"project": project, "page_size": 2})
    assert [one.name for one in by_project] == names
    by_topic = publisher.list_topic_subscriptions(request={"topic": topics[0], "page_size": 2})
    assert list(by_topic) == names
    assert list(publisher.list_topic_subscriptions(topic=topics[1])) == []


def test_a_subscription_outlives_its_topic(publisher, subscriber, topic, subscription):
    publisher.publish(topic, b"a").result(WAIT_SECONDS)
    publisher.delete_topic(topic=topic)
    assert subscriber.get_subscription(subscription=subscription).topic == "_deleted-topic_"
    response = subscriber.pull(subscription=subscription, max_messages=1)
    assert [one.message.data for one in response.received_messages] == [b"a"]
    with pytest.raises(exceptions.NotFound):
        publisher.publish(topic, b"b").result(WAIT_SECONDS)


def test_a_detached_subscription_delivers_no_more(publisher, subscriber, topic, subscription):
    publisher.publish(topic, b"a").result(WAIT_SECONDS)
    publisher.detach_subscription(request={"subscription": subscription})
    assert subscriber.get_subscription(subscription=subscription).detached
    assert list(publisher.list_topic_subscriptions(topic=topic)) == []
    with pytest.raises(exceptions.FailedPrecondition, match="detached"):
        subscriber.pull(subscription=subscription, max_messages=1)


def test_errors_have_the_types_of_the_service(publisher, subscriber, topic, subscription, project):
    none = f"{project}/subscriptions/none"
    expected = [
        (exceptions.AlreadyExists, lambda: publisher.create_topic(name=topic)),
        (
            exceptions.AlreadyExists,
            lambda: subscriber.create_subscription(name=subscription, topic=topic),
        ),
        (exceptions.NotFound, lambda: subscriber.pull(subscription=none, max_messages=1)),
        (exceptions.NotFound, lambda: subscriber.acknowledge(subscription=none, ack_ids=["1"])),
        (exceptions.NotFound, lambda: subscriber.delete_subscription(subscription=none)),
        (
            exceptions.NotFound,
            lambda: subscriber.create_subscription(name=none, topic=f"{project}/topics/none"),
        ),
        (exceptions.InvalidArgument, lambda: publisher.create_topic(name=f"{project}/topics/a")),
        (
            exceptions.InvalidArgument,
            lambda: subscriber.pull(subscription=subscription, max_messages=0),
        ),
        (
            exceptions.InvalidArgument,
            lambda: subscriber.acknowledge(subscription=subscription, ack_ids=["nonsense"]),
        ),
        (
            exceptions.InvalidArgument,
            lambda: subscriber.create_subscription(name=none, topic=topic, ack_deadline_seconds=9),
        ),
        (
            exceptions.InvalidArgument,
            lambda: subscriber.create_subscription(
                request={"name": none, "topic": topic, "filter": "nonsense"}
            ),
        ),
        (exceptions.InvalidArgument, lambda: publisher.publish(topic, b"").result(WAIT_SECONDS)),
        (
            exceptions.InvalidArgument,
            lambda: publisher.publish(topic, b"a", google="1").result(WAIT_SECONDS),
        ),
    ]
    for error, call in expected:
        with pytest.raises(error):
            call()


def test_a_request_that_is_too_large_is_refused_in_words(channel, topic):
    publish = channel.unary_unary("/google.pubsub.v1.Publisher/Publish")
    message = {"data": bytes(10_000_000)}
    request = types.PublishRequest.pb()(topic=topic, messages=[message])
    with pytest.raises(grpc.RpcError, match="exceeds the limit") as refused:
        publish(request.SerializeToString(), timeout=WAIT_SECONDS)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_what_is_not_there_is_unimplemented_by_name(clients, topic, subscription, project, channel):
    publisher, subscriber = clients.publisher, clients.subscriber
    schemas = SchemaServiceClient(transport=SchemaServiceGrpcTransport(channel=channel))
    push = {"push_endpoint": "http://localhost"}
    expected = [
        (
            "Subscription.push_config",
            lambda: subscriber.modify_push_config(subscription=subscription, push_config=push),
        ),
        ("GetIamPolicy", lambda: publisher.get_iam_policy(request={"resource": topic})),
        ("SchemaService/ListSchemas", lambda: schemas.list_schemas(parent=project)),
        (
            "Subscription.push_config",
            lambda: subscriber.create_subscription(
                request={
                    "name": f"{project}/subscriptions/pushed",
                    "topic": topic,
                    "push_config": push,
                }
            ),
        ),
        (
            "Topic.kms_key_name",
            lambda: publisher.create_topic(
                request={"name": f"{project}/topics/secret", "kms_key_name": "key"}
            ),
        ),
    ]
    for feature, call in expected:
        with pytest.raises(exceptions.MethodNotImplemented, match=feature):
            call()

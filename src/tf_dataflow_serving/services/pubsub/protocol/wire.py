"""The protobuf messages of google.pubsub.v1, without their slow proto-plus wrappers.

google-cloud-pubsub ships no `*_pb2` modules; each proto-plus type gives its own by `pb()`.
"""

from typing import Any, TypeAlias

from google.protobuf import empty_pb2  # type: ignore[import-untyped]
from google.pubsub_v1 import types

Proto: TypeAlias = Any
"""Any protobuf message; google.pubsub_v1 has no static types for its raw messages."""

Empty: Proto = empty_pb2.Empty

Topic: Proto = types.Topic.pb()
GetTopicRequest: Proto = types.GetTopicRequest.pb()
UpdateTopicRequest: Proto = types.UpdateTopicRequest.pb()
ListTopicsRequest: Proto = types.ListTopicsRequest.pb()
ListTopicsResponse: Proto = types.ListTopicsResponse.pb()
ListTopicSubscriptionsRequest: Proto = types.ListTopicSubscriptionsRequest.pb()
ListTopicSubscriptionsResponse: Proto = types.ListTopicSubscriptionsResponse.pb()
ListTopicSnapshotsRequest: Proto = types.ListTopicSnapshotsRequest.pb()
ListTopicSnapshotsResponse: Proto = types.ListTopicSnapshotsResponse.pb()
DeleteTopicRequest: Proto = types.DeleteTopicRequest.pb()
PublishRequest: Proto = types.PublishRequest.pb()
PublishResponse: Proto = types.PublishResponse.pb()

Subscription: Proto = types.Subscription.pb()
GetSubscriptionRequest: Proto = types.GetSubscriptionRequest.pb()
UpdateSubscriptionRequest: Proto = types.UpdateSubscriptionRequest.pb()
ListSubscriptionsRequest: Proto = types.ListSubscriptionsRequest.pb()
ListSubscriptionsResponse: Proto = types.ListSubscriptionsResponse.pb()
DeleteSubscriptionRequest: Proto = types.DeleteSubscriptionRequest.pb()
DetachSubscriptionRequest: Proto = types.DetachSubscriptionRequest.pb()
DetachSubscriptionResponse: Proto = types.DetachSubscriptionResponse.pb()
PullRequest: Proto = types.PullRequest.pb()
PullResponse: Proto = types.PullResponse.pb()
StreamingPullRequest: Proto = types.StreamingPullRequest.pb()
StreamingPullResponse: Proto = types.StreamingPullResponse.pb()
AcknowledgeRequest: Proto = types.AcknowledgeRequest.pb()
ModifyAckDeadlineRequest: Proto = types.ModifyAckDeadlineRequest.pb()
ModifyPushConfigRequest: Proto = types.ModifyPushConfigRequest.pb()
SeekRequest: Proto = types.SeekRequest.pb()
SeekResponse: Proto = types.SeekResponse.pb()

Snapshot: Proto = types.Snapshot.pb()
CreateSnapshotRequest: Proto = types.CreateSnapshotRequest.pb()
GetSnapshotRequest: Proto = types.GetSnapshotRequest.pb()
ListSnapshotsRequest: Proto = types.ListSnapshotsRequest.pb()
ListSnapshotsResponse: Proto = types.ListSnapshotsResponse.pb()
UpdateSnapshotRequest: Proto = types.UpdateSnapshotRequest.pb()
DeleteSnapshotRequest: Proto = types.DeleteSnapshotRequest.pb()

ACTIVE = 1
"""`Topic.State.ACTIVE` and `Subscription.State.ACTIVE`."""

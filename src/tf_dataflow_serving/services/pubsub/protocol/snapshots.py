"""The methods of google.pubsub.v1.Subscriber for snapshots."""

import uuid
from collections.abc import Mapping
from operator import attrgetter
from typing import Any

from tf_dataflow_serving.services.pubsub import names
from tf_dataflow_serving.services.pubsub.broker import Broker
from tf_dataflow_serving.services.pubsub.protocol import resource_codec, wire
from tf_dataflow_serving.services.pubsub.protocol.paging import paginate
from tf_dataflow_serving.services.pubsub.protocol.rpc import unary


def snapshot_methods(broker: Broker) -> Mapping[str, Any]:
    """Return the gRPC handlers by method name."""
    methods = _SnapshotMethods(broker)
    return {
        "CreateSnapshot": unary(methods.create_snapshot, wire.CreateSnapshotRequest),
        "GetSnapshot": unary(methods.get_snapshot, wire.GetSnapshotRequest),
        "UpdateSnapshot": unary(methods.update_snapshot, wire.UpdateSnapshotRequest),
        "ListSnapshots": unary(methods.list_snapshots, wire.ListSnapshotsRequest),
        "DeleteSnapshot": unary(methods.delete_snapshot, wire.DeleteSnapshotRequest),
    }


class _SnapshotMethods:
    def __init__(self, broker: Broker) -> None:
        self._catalog = broker.catalog
        self._snapshots = broker.snapshots

    def create_snapshot(self, request: wire.Proto) -> wire.Proto:
        labels = resource_codec.snapshot_labels(request)
        subscription = self._catalog.subscription(request.subscription)
        name = request.name or _random_name(subscription.name)
        snapshot = self._snapshots.create(name, subscription, labels)
        return resource_codec.encode_snapshot(snapshot)

    def get_snapshot(self, request: wire.Proto) -> wire.Proto:
        return resource_codec.encode_snapshot(self._snapshots.get(request.snapshot))

    def update_snapshot(self, request: wire.Proto) -> wire.Proto:
        name = request.snapshot.name
        labels, time = resource_codec.updated_snapshot(self._snapshots.get(name), request)
        return resource_codec.encode_snapshot(self._snapshots.update(name, labels, time))

    def list_snapshots(self, request: wire.Proto) -> wire.Proto:
        snapshots = self._snapshots.of_project(request.project)
        page = paginate(snapshots, attrgetter("name"), request.page_size, request.page_token)
        return wire.ListSnapshotsResponse(
            snapshots=map(resource_codec.encode_snapshot, page.items),
            next_page_token=page.next_token,
        )

    def delete_snapshot(self, request: wire.Proto) -> wire.Proto:
        self._snapshots.delete(request.snapshot)
        return wire.Empty()


def _random_name(subscription_name: str) -> str:
    project, _ = names.split(subscription_name)
    return f"projects/{project}/snapshots/snapshot-{uuid.uuid4().hex}"

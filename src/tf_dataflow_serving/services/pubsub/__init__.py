"""A Pub/Sub emulator: `google.pubsub.v1` Publisher and Subscriber over gRPC."""

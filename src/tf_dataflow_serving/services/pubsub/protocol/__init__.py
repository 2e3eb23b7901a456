"""The gRPC edge: google.pubsub.v1 between the wire and the broker."""

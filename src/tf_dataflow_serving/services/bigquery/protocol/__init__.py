"""The edge of the service: HTTP and gRPC."""

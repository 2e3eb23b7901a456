"""TensorFlow Serving's REST API: its paths, and its JSON to and from the domain."""

"""A local development kit for Apache Beam pipelines that serve TensorFlow models."""

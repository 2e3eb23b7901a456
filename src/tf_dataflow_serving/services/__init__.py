"""The places that a pipeline reads and writes: Pub/Sub, BigQuery, Cloud Storage, prediction."""

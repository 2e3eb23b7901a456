"""A warehouse whose tables live in another BigQuery emulator, goccy/bigquery-emulator."""

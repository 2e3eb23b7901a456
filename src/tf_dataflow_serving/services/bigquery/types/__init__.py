"""BigQuery's types: schemas, values, and how they are stored."""

"""BigQuery on this machine: bqemulator, pinned, behind a gateway that adds what Beam relies on."""

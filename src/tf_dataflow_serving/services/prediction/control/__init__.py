"""What tests ask of the service beside predictions: faults and outages, with a Python client."""

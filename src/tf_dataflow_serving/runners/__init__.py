"""From options to a running job to its result."""

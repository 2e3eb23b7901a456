"""Read sessions of the Storage API."""

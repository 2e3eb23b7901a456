"""The files of load and extract jobs, and where they are."""

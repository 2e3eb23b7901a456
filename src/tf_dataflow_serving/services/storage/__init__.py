"""Cloud Storage for one machine: the JSON API v1, its media paths, and the XML object paths."""

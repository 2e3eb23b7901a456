"""The edge: Cloud Storage's JSON API over HTTP."""

"""Cloud ML Engine v1: its paths, and its JSON to and from the domain."""

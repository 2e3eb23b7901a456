"""What tests ask of the emulator beside Pub/Sub itself: over HTTP, with a Python client."""

"""The services in containers: the emulators that others make, behind what they lack."""

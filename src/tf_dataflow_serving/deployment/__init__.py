"""SavedModels to prediction services: copied to gs://, created as a version, deployed."""

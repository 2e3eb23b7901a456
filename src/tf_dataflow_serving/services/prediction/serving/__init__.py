"""One SavedModel that answers: instances to tensors, tensors to predictions."""

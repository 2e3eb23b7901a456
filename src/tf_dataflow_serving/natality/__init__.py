"""The example's domain: births, what is known of each, and the weight to be estimated."""

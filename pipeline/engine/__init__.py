"""Actions: promises to call a stage, keyed by their inputs; what the store may drop, and its check."""

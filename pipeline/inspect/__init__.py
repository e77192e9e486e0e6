"""Look at results: compare two of them, rebuild and verify them, measure what each byte is for."""

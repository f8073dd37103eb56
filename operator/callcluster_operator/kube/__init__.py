"""The API server: reading, writing, electing a leader."""

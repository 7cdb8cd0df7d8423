"""Small worlds for tests: lakes filled by hand, and plain-Python models of what should come out."""

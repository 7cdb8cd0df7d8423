"""Expected results in plain Python, written from the design: no SQL, no pandas."""

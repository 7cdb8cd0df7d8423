"""What should come out, in plain Python: no SQL, no pandas, written from the design."""

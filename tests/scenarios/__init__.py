"""Random worlds and mutated input, and the code that plays them against a lake."""

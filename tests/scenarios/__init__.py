"""Whole lives of a lake: random worlds, mutated input, and what plays them."""

"""Queries of the page and of what the demo prints."""

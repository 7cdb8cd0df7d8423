"""Queries of the published views."""

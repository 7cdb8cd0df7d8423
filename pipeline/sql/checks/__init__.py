"""Queries of the audits: each returns the bad rows."""

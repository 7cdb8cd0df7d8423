"""Shared by tests: folders to run commands in, lakes filled by hand, processes, a browser, the Dagster UI."""

"""What tests share: places to run the command in, lakes filled by hand, a browser, the Dagster UI."""

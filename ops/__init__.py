"""The operator's commands behind `nacre`."""

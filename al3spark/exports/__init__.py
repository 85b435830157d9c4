"""The rows of a job as CSV files in one zip."""

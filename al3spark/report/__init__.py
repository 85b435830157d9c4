"""The run report: what became of one job, as an HTML page that needs nothing but itself."""

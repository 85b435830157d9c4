"""al3spark: ACORD AL3 files to joinable Parquet tables, at scale."""

__version__ = "0.1.0"

"""The Parquet files of the tables once they are published: which count, which go, which are written again."""

"""The engine: everything that needs pyspark."""

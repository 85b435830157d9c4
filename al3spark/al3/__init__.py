"""The AL3 format: bytes to Arrow and back. No Spark, no input or output, no clock."""

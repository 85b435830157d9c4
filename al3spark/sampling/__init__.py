"""Synthetic AL3 files: to try al3spark out, for tests and for benchmarks; of invented people and policies."""

from al3spark.sampling.corpus import BROKEN_LIST, BrokenFile, SampleReport, sample_bytes, write_sample
from al3spark.sampling.senders import SENDERS, Sender

__all__ = ["BROKEN_LIST", "SENDERS", "BrokenFile", "SampleReport", "Sender", "sample_bytes", "write_sample"]

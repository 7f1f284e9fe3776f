"""The parts of the benchmark `storage_scale`."""

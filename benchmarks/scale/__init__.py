"""The parts of the benchmark of the storages' scale."""

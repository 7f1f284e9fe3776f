"""One thin module for each framework. It mounts the endpoints and passes the request to `identify`."""

__all__: list[str] = []

"""Records what several processes do with a storage, and checks the recorded history."""

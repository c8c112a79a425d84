"""One function a phase, called by its CLI verb and its flow alike."""

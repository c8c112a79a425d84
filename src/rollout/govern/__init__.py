"""The rollout as phases: their order, and the state of each as it follows from the journal's facts. Pure."""

"""The rollout as phases: order, state, waves, decisions. Pure; the journal is read by `phases`."""

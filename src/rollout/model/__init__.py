"""The words everything else speaks: entities, findings, outcomes, accounting, verdicts. Pure."""

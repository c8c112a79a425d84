"""Documents for people, from the journal only."""

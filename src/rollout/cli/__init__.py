"""One verb a phase."""

"""Doors to the outside: sources and targets, behind small protocols. Connectors know nothing of each other."""

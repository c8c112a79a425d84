"""Capacity: runs Locust as a subprocess and turns its samples into a verdict."""

"""A small real CRM for the demo, drills and tests."""

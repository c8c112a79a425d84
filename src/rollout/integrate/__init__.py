"""What runs between the CRM and the systems around it: syncs, and the tests that show that they work."""

"""Integration: syncs that carry other systems' changes into the CRM, scenarios, and drills under faults."""

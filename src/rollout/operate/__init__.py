"""After go-live: probes, sync check, alerts, monthly figures."""

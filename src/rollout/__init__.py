"""crm-rollout: from a company's old customer data to a live CRM, with every row accounted for."""

__version__ = "0.1.0"

"""Our own voice: `/v1`, the standards, the gateways, and what operators need."""

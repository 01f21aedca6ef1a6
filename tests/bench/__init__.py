"""The benchmark: what `use` costs, beside a handler that does nothing and one that asks Redis per request."""

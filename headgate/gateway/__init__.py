"""The gateway: a topology as Envoy configuration. It starts nothing."""

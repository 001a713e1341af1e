"""What is suspicious: rules, detectors and the engine that runs them; no network, no clock, no environment."""

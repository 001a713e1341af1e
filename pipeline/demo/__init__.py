"""The demonstration: a simulated fleet that speaks through the real OpenTelemetry SDK, and the stage it plays on."""

"""How telemetry arrives, is normalised and masked, and how results leave."""

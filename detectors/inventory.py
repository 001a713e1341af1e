"""What the organisation knows and telemetry does not say: granted permissions, MCP servers, packages, targets."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class Inventory(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file of the folder `inventory`, or all of them together."""

    @classmethod
    def joined(cls, files: Sequence[Inventory]) -> Inventory:
        """All files as one."""
        return cls()

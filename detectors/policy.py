"""What an agent of a type may do, said by its owners in one versioned file; what it may not is found here."""

from __future__ import annotations

import msgspec


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file of the folder `policies`: the policy of one agent type."""

    version: int
    agent_type: str

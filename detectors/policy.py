"""What an agent of a type may do, said by its owners in one versioned file.

A list that is left out restricts nothing. Where `allow` stands, what it does not name is unlisted; `deny` beats
`allow`; what stands under `undecided` is neither, and raises nothing until its owners move it. In every pattern `*`
stands for any text, slashes too. Patterns of paths begin at the working tree (`./`), at home (`~/`) or at the root,
or name a class of files (`class:env`); a pattern that ends in `/*` covers the directory itself.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from fnmatch import translate
from functools import lru_cache
from typing import Annotated, Literal, TypeAlias, get_args

import msgspec
from msgspec import UNSET, Meta, UnsetType

VERSION = 1
EVERY_TYPE = "*"  # the policy of agent types that have none of their own
NOBODY, HUMAN = "nobody", "human"
CLASS = "class:"

Verdict: TypeAlias = Literal["allowed", "denied", "unlisted", "undecided", "open"]  # open: the policy says nothing
Matter: TypeAlias = Literal[
    "tools", "read", "write", "repositories", "egress", "models", "providers", "mcp_servers", "session_modes"
]
Matches: TypeAlias = Callable[[tuple[str, ...], str], bool]
Day: TypeAlias = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
MATTERS: tuple[Matter, ...] = get_args(Matter)
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_UNITS = {"m": 60, "h": 3600, "d": 86_400}


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A section of a policy: a key it does not know is an error."""


class Names(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is allowed and what is refused; without `allow`, whatever is not refused."""

    allow: tuple[str, ...] | UnsetType = UNSET
    deny: tuple[str, ...] = ()

    @property
    def unlimited(self) -> bool:
        """Whether there is no list of what is allowed."""
        return isinstance(self.allow, UnsetType)

    def judge(self, names: Iterable[str], matches: Matches) -> Verdict:
        """The verdict on a thing that goes by several names."""
        spelled = tuple(names)
        if any(matches(self.deny, name) for name in spelled):
            return "denied"
        if isinstance(self.allow, UnsetType):
            return "open"
        allow = self.allow
        return "allowed" if any(matches(allow, name) for name in spelled) else "unlisted"


class Paths(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Files, apart by what is done to them."""

    read: Names = Names()
    write: Names = Names()


class Credentials(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Kinds are globs of secret rule ids (`secret.aws.*`); a lifetime is a number of m, h or d."""

    kinds: Names = Names()
    max_lifetime: Annotated[str, Meta(pattern=r"^\d+[mhd]$")] | None = None

    @property
    def lifetime_seconds(self) -> int | None:
        return None if self.max_lifetime is None else int(self.max_lifetime[:-1]) * _UNITS[self.max_lifetime[-1]]


class Approval(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who must allow what: every selector that is given must fit, and one of its values is enough.

    `by` is `nobody`, `human`, or a group of the policy.
    """

    by: str
    effects: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    path_classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not (self.effects or self.tools or self.path_classes):
            raise ValueError("names no effects, no tools and no path_classes, so it says nothing")

    def fits(self, tool: str, effects: frozenset[str], classes: frozenset[str]) -> bool:
        return (
            (not self.tools or named(self.tools, tool))
            and (not self.effects or not effects.isdisjoint(self.effects))
            and (not self.path_classes or not classes.isdisjoint(self.path_classes))
        )


class Hours(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When agents of the type work; `start` after `end` runs over midnight."""

    days: tuple[Day, ...] = DAYS
    start: Annotated[str, Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] = "00:00"
    end: Annotated[str, Meta(pattern=r"^([01]\d|2[0-4]):[0-5]\d$")] = "24:00"
    utc_offset: Annotated[str, Meta(pattern=r"^[+-]\d\d:\d\d$")] = "+00:00"

    def covers(self, time_ns: int) -> bool:
        sign = -1 if self.utc_offset[0] == "-" else 1
        offset = timedelta(hours=int(self.utc_offset[1:3]), minutes=int(self.utc_offset[4:]))
        there = datetime.fromtimestamp(time_ns / 1e9, UTC) + sign * offset
        now = there.strftime("%H:%M")
        inside = self.start <= now < self.end if self.start <= self.end else now >= self.start or now < self.end
        return inside and DAYS[there.weekday()] in self.days


class Data(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Data that providers on a list may have: records about people, or text its owner labelled."""

    classes: tuple[Literal["personal", "labelled"], ...]
    providers: tuple[str, ...]


class Undecided(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was seen too rarely to decide about: neither allowed nor refused."""

    tools: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    repositories: tuple[str, ...] = ()
    egress: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    mcp_servers: tuple[str, ...] = ()
    session_modes: tuple[str, ...] = ()


class Policy(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file of the folder `policies`: the policy of one agent type, `*` for those that have none of their own."""

    version: Literal[1]
    agent_type: Annotated[str, Meta(min_length=1)]
    description: str = ""
    tools: Names = Names()
    paths: Paths = Paths()
    repositories: Names = Names()
    egress: Names = Names()
    models: Names = Names()
    providers: Names = Names()
    mcp_servers: Names = Names()
    credentials: Credentials = Credentials()
    groups: dict[str, tuple[str, ...]] = {}
    approvals: tuple[Approval, ...] = ()
    session_modes: Names = Names()
    data: tuple[Data, ...] = ()
    working_hours: Hours | None = None
    content: Literal["on", "off"] | None = None  # whether prompts and results may be in the telemetry
    undecided: Undecided = Undecided()

    def __post_init__(self) -> None:
        for name in self.groups:
            if name in (NOBODY, HUMAN):
                raise ValueError(f"groups: {name} has a meaning of its own")
        for one in self.approvals:
            if one.by not in (NOBODY, HUMAN, *self.groups):
                raise ValueError(f"approvals: {one.by} is neither nobody, human nor a group of this policy")

    def names(self, matter: Matter) -> Names:
        if matter == "read" or matter == "write":
            return self.paths.read if matter == "read" else self.paths.write
        found: Names = getattr(self, matter)
        return found

    def judge(self, matter: Matter, *names: str) -> Verdict:
        """What the policy says about a thing of this matter that goes by these names."""
        matches = hosted if matter == "egress" else placed if matter in ("read", "write") else named
        verdict = self.names(matter).judge(names, matches)
        if verdict == "unlisted":
            open_ = getattr(self.undecided, matter)
            return "undecided" if any(matches(open_, name) for name in names) else verdict
        return verdict

    def may_have(self, data: str, provider: str) -> bool:
        """Whether a provider may have data of this class; what no entry speaks of, none may."""
        return any(data in one.classes and named(one.providers, provider) for one in self.data)

    def approver(self, tool: str, effects: frozenset[str], classes: frozenset[str]) -> str:
        """Who must allow such a call by the first rule that fits: nobody, human, or a group."""
        return next((one.by for one in self.approvals if one.fits(tool, effects, classes)), NOBODY)


def of(policies: Mapping[str, Policy], agent_type: str) -> Policy | None:
    """The policy of an agent type."""
    return policies.get(agent_type) or policies.get(EVERY_TYPE)


@lru_cache(maxsize=1024)
def _pattern(globs: tuple[str, ...], *, caseless: bool) -> re.Pattern[str] | None:
    """One pattern for all of them; None for none."""
    below = [glob for glob in globs if glob.endswith(("/*", "/**"))]
    whole = [*globs, *(bare for glob in below if (bare := glob.rstrip("*").rstrip("/")))]
    return re.compile("|".join(map(translate, whole)), re.IGNORECASE if caseless else 0) if whole else None


def named(globs: tuple[str, ...], name: str) -> bool:
    """Whether a glob fits the name, whatever the case."""
    pattern = _pattern(globs, caseless=True)
    return bool(pattern and pattern.match(name))


def placed(globs: tuple[str, ...], path: str) -> bool:
    """Whether a glob fits the path, or its class where `path` is one (`class:env`)."""
    pattern = _pattern(globs, caseless=False)
    return bool(pattern and pattern.match(path))


def hosted(names: tuple[str, ...], host: str) -> bool:
    """Whether a host is one of the names or below one, fits a glob, or lies in a network."""
    if not names:
        return False
    host = host.strip("[]").rstrip(".").lower()
    labels = host.split(".")
    plain, globs, networks = _hosts(names)
    if any(".".join(labels[start:]) in plain for start in range(len(labels))) or named(globs, host):
        return True
    if networks:
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in networks)
    return False


Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


@lru_cache(maxsize=1024)
def _hosts(names: tuple[str, ...]) -> tuple[frozenset[str], tuple[str, ...], tuple[Network, ...]]:
    """Plain names, globs and networks of a list of destinations."""
    plain: list[str] = []
    globs: list[str] = []
    networks: list[Network] = []
    for name in names:
        try:
            networks.append(ipaddress.ip_network(name, strict=False))
        except ValueError:
            (globs if "*" in name else plain).append(name.rstrip(".").lower())
    return frozenset(plain), tuple(globs), tuple(networks)

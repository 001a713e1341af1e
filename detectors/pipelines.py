"""Pipelines: static cloud keys where a short-lived identity is to be had, rights never used before."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from types import MappingProxyType

import msgspec

from detectors import path_classes
from detectors.about import About
from detectors.behaviour import describe
from detectors.detector import Detector, finding
from detectors.exposures import CI
from detectors.model import Category, Finding, SecretMatch, Severity, Sighting, Span
from detectors.written import written

LEARN = 3  # runs of a workflow whose rights are learnt
MAX_USES = 256
MAX_RUNS = 16
# Rules of cloud keys that stay valid until somebody ends them.
_STATIC = re.compile(
    r"^secret\.(?:aws\.secret_(?:access_key|near_name)|gcp\.service_account_\w+|azure\.(?:client_secret|app_secret\w*)"
    r"|alibaba\.access_key_secret|ibm\.api_key|oracle\.cloud_secret|tencent\.secret_key|huawei\.secret_key|digitalocean\.)"
)
_SHORT_LIVED = "secret.aws.session_token"
_IN_WORKFLOW = re.compile(
    r"aws-(?:access-key-id|secret-access-key)\s*:|AWS_SECRET_ACCESS_KEY\s*:\s*[\"']?\$|\bcredentials_json\s*:|\bservice_account_key\s*:"
    r"|\bcreds\s*:\s*[\"']?\$\{\{\s*secrets\.|\bAZURE_(?:CLIENT_SECRET|CREDENTIALS)\s*:|GOOGLE_(?:CREDENTIALS|APPLICATION_CREDENTIALS_JSON)\s*:"
    r"|ARM_CLIENT_SECRET\s*:|withCredentials\(\[.{0,80}AmazonWebServicesCredentialsBinding"
)
_IDENTITY = re.compile(  # the workflow asks for a short-lived identity
    r"id-token\s*:\s*write|id_tokens\s*:|role-to-assume\s*:|workload_identity_provider\s*:|oidc\s*:|federated|ASSUME_ROLE"
    r"|sts\s+assume-role-with-web-identity",
    re.IGNORECASE,
)


class StaticCloudKey(Detector[Span, None]):
    """A pipeline that works with a cloud key that does not expire, although its platform gives short-lived ones.

    Seen in a record of a pipeline's run, and in a definition of a pipeline that an agent writes.
    Blind spots: a platform of one's own without an identity provider looks the same; keys that a plugin hands over
    without a trace in the telemetry; a cloud whose keys no rule knows.
    """

    id = "pipeline.posture"
    scope = "span"
    rules = MappingProxyType(
        {
            "pipeline.static-cloud-key": About(
                title="A pipeline uses a static cloud key where a short-lived identity is to be had",
                severity=Severity.LOW,
                category=Category.CREDENTIAL_EXPOSURE,
                standards=("ASI03", "LLM02:2026", "T1078.004", "T1552"),
                runbook="Let the pipeline exchange its OIDC token for a role of the cloud, then delete the static key.",
                rows=("K15",),
            )
        }
    )

    def concerns(self, kind: str, fields: frozenset[str], secrets: bool) -> bool:
        return kind == "file_write" or secrets

    def select(self, events: Sequence[Span]) -> Iterable[int]:
        return [i for i, event in enumerate(events) if event.kind == "file_write" or (event.secrets and _runs(event))]

    def observe(self, event: Span, state: None) -> Iterator[Finding]:
        if event.secrets and _runs(event):
            temporary = any(one.rule_id.startswith(_SHORT_LIVED) for one in event.secrets)
            keys = {one.fingerprint: one for one in event.secrets if _static(one) and not temporary}
            for match in keys.values():
                yield self._tell(event, match.rule_id, match.fingerprint, "used in a run")
        elif event.kind == "file_write" and "ci-config" in path_classes.classes(event.text("path")):
            text = written(event)
            found = _IN_WORKFLOW.search(text)
            if found and not _IDENTITY.search(text):
                yield self._tell(
                    event, found[0].strip(" :")[:80], event.text("path")[:200], "written into its definition"
                )

    def _tell(self, event: Span, what: str, key: str, how: str) -> Finding:
        severity = Severity.LOW if how.startswith("written") else Severity.MEDIUM
        return finding(
            self,
            event,
            rule_id="pipeline.static-cloud-key",
            severity=severity,
            key=key,
            evidence={
                **describe(event),
                "what": f"{what} {how}",
                "pipeline": event.text("ci.pipeline") or event.text("path"),
                "key": what,
                "instead": "the platform's OIDC token, exchanged for a role",
            },
        )


def _runs(span: Span) -> bool:
    return span.kind in CI or "ci.pipeline" in span.fields


def _static(match: SecretMatch) -> bool:
    return bool(_STATIC.search(match.rule_id)) and match.tier != "possible" and match.verdict != "invalid"


class Used(msgspec.Struct, array_like=True):
    """Runs of a workflow, and what they used."""

    runs: dict[str, None] = {}
    uses: dict[str, str] = {}
    count: int = 0


class NewRight(Detector[Sighting, Used]):
    """An agent in a pipeline uses a secret, deploys, or writes a repository, which its workflow never did before.

    The first three runs of a workflow are learnt from.
    Blind spots: a workflow under a new name learns anew; what an action does inside without telling; 256 rights of
    a workflow are remembered, the first seen forgotten first.
    """

    id = "pipeline.rights"
    scope = "entity"
    rules = MappingProxyType(
        {
            "pipeline.new-right": About(
                title="An agent in a pipeline uses a right it never used before",
                severity=Severity.MEDIUM,
                category=Category.OVERREACH,
                standards=("LLM03:2026", "ASI03", "ASI02", "T1078"),
                runbook="Read the run and the change that started it; if the task does not need the right, take it "
                "from the workflow.",
                rows=("K15",),
            )
        }
    )

    def new_state(self) -> Used:
        return Used()

    def concerns(self, kind: str, fields: frozenset[str], secrets: bool) -> bool:
        return kind == "workflow"

    def observe(self, event: Sighting, state: Used) -> Iterator[Finding]:
        if event.entity_kind != "workflow":
            return
        if event.session_id not in state.runs:
            state.runs[event.session_id] = None
            state.count = min(state.count + 1, LEARN + 1)
            if len(state.runs) > MAX_RUNS:
                del state.runs[next(iter(state.runs))]
        use = event.detail.get("uses", "")
        if not use:
            return
        known = state.uses.get(use)
        state.uses.setdefault(use, event.session_id)
        if len(state.uses) > MAX_USES:
            del state.uses[next(iter(state.uses))]
        if known is not None or state.count <= LEARN:
            return
        before = [one for one in state.uses if one != use]
        yield finding(
            self,
            event,
            rule_id="pipeline.new-right",
            key=use[:200],
            evidence={
                "who": event.agent_id or event.agent_type,
                "what": f"{use} in the workflow {event.entity_id}",
                "workflow": event.entity_id,
                "run": event.detail.get("run", ""),
                "uses": use,
                "before": ", ".join(before) or "nothing of the kind",
            },
        )

"""What a rule costs: the behaviour rules' part of the engine with 20, 200 and 2,000 rules, on the same kinds of spans.

The rules are made from lists of programs, verbs, flags, files, hosts, tables and phrases, in the forms security teams
write: a command with a flag, a file of a kind that is written, a destination, a statement, a text or an expression.
A few of them meet the spans; most look for something that is not there, as most rules do.
"""

from __future__ import annotations

import gc
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from detectors import rule
from detectors.behaviour import Matcher
from detectors.model import Resource, Span

COUNTS: Final = (20, 200, 2_000)
BATCH: Final = 512
ROUNDS: Final = 15
_PROGRAMS: Final = """
aws az gcloud kubectl helm terraform pulumi docker podman git gh glab npm yarn pnpm pip poetry uv cargo go mvn
gradle make cmake systemctl journalctl crontab ssh scp rsync curl wget nc nmap tcpdump psql mysql mongosh redis-cli
sqlite3 vault op consul nomad ansible salt chef puppet packer vagrant openssl gpg tar zip unzip chmod chown rm dd
mkfs shred find sed awk jq python node ruby perl php java flyctl heroku vercel netlify railway wrangler doctl
linode-cli hcloud
"""
_VERBS: Final = """
delete destroy drop purge remove rm prune reset revoke rotate disable stop terminate detach scale drain cordon apply
create put set update attach grant add-role push publish upload sync copy export import restore exec run eval login
"""
_NOUNS: Final = """
instance volume snapshot bucket cluster database table role policy key secret token user group project namespace
deployment pipeline runner webhook domain record zone queue topic function image repository branch release backup
"""
_FLAGS: Final = """
--force --yes --all --recursive --no-verify --skip-tests --admin --prod --quiet --insecure -f -y -A
"""
_FOLDERS: Final = """
etc srv opt var home root usr data backup secrets config deploy infra terraform k8s charts ci
"""
_WORDS: Final = """
orders invoices customers ledger payments sessions audit metrics search billing shipping catalogue reviews reports
accounts profiles messages events alerts tickets builds releases tests fixtures schema migration replica cache queue
"""
_PLACES: Final = """
com net org io dev app cloud site xyz info
"""
PROGRAMS: Final = _PROGRAMS.split()
VERBS: Final = _VERBS.split()
NOUNS: Final = _NOUNS.split()
FLAGS: Final = _FLAGS.split()
FOLDERS: Final = _FOLDERS.split()
WORDS: Final = _WORDS.split()
PLACES: Final = _PLACES.split()


def _file(rng: random.Random) -> str:
    end = rng.choice(("yml", "json", "py", "env", "pem", "tf", "sql", "md", "sh", "ini"))
    return f"/{rng.choice(FOLDERS)}/{rng.choice(WORDS)}/{rng.choice(NOUNS)}-{rng.randrange(500)}.{end}"


def _folder(rng: random.Random) -> str:
    return f"/{rng.choice(FOLDERS)}/{rng.choice(WORDS)}"


def _table(rng: random.Random) -> str:
    return f"{rng.choice(WORDS)}_{rng.choice(NOUNS)}"


def _name(rng: random.Random) -> str:
    return f"{rng.choice(WORDS)}-{rng.randrange(900)}"


def _host(rng: random.Random) -> str:
    return f"{rng.choice(WORDS)}-{rng.choice(NOUNS)}{rng.randrange(300)}.{rng.choice(PLACES)}"


FORMS: Final[tuple[Callable[[random.Random], dict[str, Any]], ...]] = (
    lambda r: {"command.name": r.choice(PROGRAMS), "command.verb": r.choice(VERBS), "command.flags": r.choice(FLAGS)},
    lambda r: {"command.name": r.choice(PROGRAMS), "command.words|contains": f"{r.choice(VERBS)} {r.choice(NOUNS)}"},
    lambda r: {"command.line|contains|all": [f"{r.choice(PROGRAMS)} ", f" {r.choice(VERBS)}-{r.choice(NOUNS)}"]},
    lambda r: {"command.line|re": rf"\b{r.choice(PROGRAMS)}\s+(?:\S+\s+)*{r.choice(VERBS)}\s+{r.choice(NOUNS)}s?\b"},
    lambda r: {"command.writes|startswith": f"{_folder(r)}/{r.choice(NOUNS)}-{r.randrange(500)}"},
    lambda r: {"path.full|endswith": _file(r)[4:], "path.action": r.choice(("read", "write", "delete"))},
    lambda r: {"path|contains": f"{r.choice(NOUNS)}-{r.randrange(500)}."},
    lambda r: {"egress.registered_domain": [_host(r) for _ in range(5)]},
    lambda r: {"url|contains": [f"{_host(r)}/{r.choice(VERBS)}" for _ in range(3)]},
    lambda r: {"sql.kind": r.choice(("drop", "delete", "truncate", "grant")), "sql.tables": _table(r)},
    lambda r: {"tool.name": f"{r.choice(VERBS)}_{r.choice(NOUNS)}", "arguments|contains": _name(r)},
    lambda r: {"arguments|re": rf'"{r.choice(NOUNS)}_id"\s*:\s*"{r.choice(WORDS)}-[0-9]{{3}}"'},
    lambda r: {"prompt|contains": f"{r.choice(VERBS)} the {r.choice(WORDS)} {r.choice(NOUNS)}"},
    lambda r: {"result|contains": f"{r.choice(NOUNS)} {r.choice(WORDS)} {r.choice(('refused', 'denied', 'expired'))}"},
    lambda r: {"mcp.server": f"{r.choice(WORDS)}-{r.choice(NOUNS)}", "tool.name|startswith": r.choice(VERBS)},
    lambda r: {"http.status|gte": 400, "url|contains": f"/{r.choice(NOUNS)}s/{r.choice(WORDS)}-{r.randrange(500)}"},
    lambda r: {"code.calls": f"{r.choice(WORDS)}.{r.choice(VERBS)}_{r.choice(NOUNS)}"},
    lambda r: {"kind": "llm_call", "model": f"{r.choice(WORDS)}-{r.randrange(9)}.{r.randrange(9)}"},
)  # fmt: skip


def made(count: int, seed: int = 1) -> list[dict[str, Any]]:
    """That many Sigma documents; every fourth has a second selection or an exception."""
    rng = random.Random(seed)
    documents = []
    for number in range(count):
        detection: dict[str, Any] = {"selection": FORMS[number % len(FORMS)](rng), "condition": "selection"}
        if number % 4 == 1:
            detection |= {"honest": {"command.flags": "--dry-run"}, "condition": "selection and not honest"}
        elif number % 4 == 3:
            detection |= {"other": rng.choice(FORMS)(rng), "condition": "1 of them"}
        documents.append(
            {
                "title": f"Rule {number}",
                "name": f"bench.rule-{number}",
                "status": "test",
                "level": "medium",
                "logsource": {"product": "ai_agent"},
                "detection": detection,
            }
        )
    return documents


def read(count: int) -> rule.RuleSet:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "rules.yml").write_text(yaml.safe_dump_all(made(count)))
        return rule.read([Path(folder)], builtin=False)


COMMANDS: Final[tuple[Callable[[random.Random], str], ...]] = (
    lambda r: f"cd {_folder(r)} && git status --short && git diff --stat HEAD~{r.randrange(9)}",
    lambda r: f"grep -rn '{r.choice(WORDS)}_{r.choice(NOUNS)}' src/{r.choice(WORDS)} | head -{r.randrange(99)}",
    lambda r: f"python -m pytest tests/test_{r.choice(WORDS)}.py -q -k {r.choice(NOUNS)}_{r.randrange(999)}",
    lambda r: f"sed -n '{r.randrange(900)},{r.randrange(1900)}p' {_file(r)}",
    lambda r: f"cat <<'EOF' > /tmp/{_name(r)}.py\nimport os\nprint(os.getcwd())\nEOF\npython /tmp/x.py",
    lambda r: f"curl -s https://{_host(r)}/api/{r.choice(NOUNS)}s | jq '.items[] | .{r.choice(WORDS)}'",
    lambda r: f"docker run --rm -v $PWD:/work {r.choice(WORDS)}:{r.randrange(99)} make {r.choice(VERBS)}",
    lambda r: f"ls -la {_file(r)} && wc -l {_file(r)}",
    lambda r: f"npm run {r.choice(WORDS)} -- --{r.choice(NOUNS)}={r.randrange(9999)}",
    lambda r: f"kubectl get {r.choice(NOUNS)}s -n {r.choice(WORDS)}-{r.randrange(99)} -o yaml",
    lambda r: f"find . -name '*{r.choice(WORDS)}*' -newer {_file(r)} -print0 | xargs -0 grep -l {r.choice(NOUNS)}",
)  # fmt: skip


def _text(rng: random.Random, words: int) -> str:
    return " ".join(rng.choices((*WORDS, *NOUNS, *VERBS, "the", "a", "of", "and", "to"), k=words))


def _fields(rng: random.Random) -> tuple[str, dict[str, Any]]:
    """Kind and fields of one span, in the shares agents do things."""
    dice = rng.random()
    if dice < 0.35:
        line = rng.choice(COMMANDS)(rng)
        return "command", {"tool.name": "Bash", "command.line": line, "arguments": line, "result": _text(rng, 60)}
    if dice < 0.6:
        path = _file(rng)
        read_only = rng.random() < 0.7
        told = {"tool.name": "Read" if read_only else "Edit", "path": path, "arguments": f'{{"file_path": "{path}"}}'}
        return ("file_read" if read_only else "file_write"), {**told, "result": _text(rng, 80)}
    if dice < 0.75:
        return "llm_call", {
            "model": "large-1",
            "provider": "maker",
            "prompt": _text(rng, 60),
            "completion": _text(rng, 80),
        }
    if dice < 0.85:
        host = _host(rng)
        url = f"https://{host}/v1/{rng.choice(NOUNS)}s/{rng.randrange(9999)}"
        return "http_egress", {
            "url": url,
            "egress.host": host,
            "egress.hosts": host,
            "http.status": 200,
            "http.method": "GET",
        }
    if dice < 0.9:
        return "db_query", {
            "db.statement": f"SELECT id, total FROM {_table(rng)} WHERE id = {rng.randrange(9999)} LIMIT 10"
        }
    tool = f"{rng.choice(('get', 'list', 'search'))}_{rng.choice(NOUNS)}"
    told = {
        "tool.name": tool,
        "mcp.server": rng.choice(WORDS),
        "arguments": f'{{"id": "{rng.choice(WORDS)}-{rng.randrange(999)}"}}',
    }
    return "mcp_call", {**told, "result": _text(rng, 40)}


def spans(count: int, seed: int) -> Iterator[Span]:
    rng = random.Random(seed)
    for number in range(count):
        kind, fields = _fields(rng)
        yield Span(
            id=f"{seed}-{number}",
            span_id=f"{number:016x}",
            session_id=f"s{number % 40}",
            agent_id="agent-1",
            agent_type="coder",
            resource=Resource(service="coder"),
            kind=kind,
            start_ns=number,
            end_ns=number + 1,
            fields=fields,
        )


def measure(counts: Sequence[int] = COUNTS) -> dict[str, Any]:
    """µs per span of finding the matching rules; each takes its turn on spans nobody saw before."""
    matchers = {count: Matcher(read(count).behaviour) for count in counts}
    costs: dict[int, list[float]] = {count: [] for count in counts}
    matched = dict.fromkeys(counts, 0)
    for turn in range(ROUNDS + 2):
        for count in counts:
            batch = list(spans(BATCH, seed=turn * 10_000 + count))
            gc.collect()
            began = time.perf_counter()
            found = matchers[count].prepare(batch)
            took = time.perf_counter() - began
            if turn >= 2:
                costs[count].append(took / BATCH * 1e6)
                matched[count] += sum(map(len, found.values()))
    medians = {count: statistics.median(costs[count]) for count in counts}
    return {
        **{f"{count}_rules_us_per_span": round(medians[count], 2) for count in counts},
        **{
            f"{count}_rules_matches_per_1000_spans": round(1000 * matched[count] / ROUNDS / BATCH, 1)
            for count in counts
        },
        "cost_of_most_to_fewest": round(medians[max(counts)] / medians[min(counts)], 2),
    }

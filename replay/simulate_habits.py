"""Habits of simulated agents as data: what kinds of agents there are and how each kind usually works."""

from __future__ import annotations

from typing import Literal

import msgspec

Takes = Literal["path", "url", "command", "text"]


class Tool(msgspec.Struct, frozen=True):
    """One tool: how often it is called, what it takes, and the bytes a call usually sends and gets (0: not told)."""

    name: str
    weight: float
    takes: Takes
    sends: float = 0.0
    gets: float = 0.0
    fails: float = 0.02


class Habit(msgspec.Struct, frozen=True, kw_only=True):
    """How agents of one type work.

    `follows` raises the weight of a tool after another. `calls` is tool calls in a busy minute, `chats` model calls
    per tool call. `sessions` is sessions a day, `minutes` the usual length of one. `shift` is the local working day,
    none for those that work round the clock; `weekend` is how much of a weekday's work a day of the weekend brings.
    `novel` is how often a call goes to a host the agent has not settled on. `asks` is the share of calls that a hook
    or a human decides on, and `bypass` the share of agents that run with approvals switched off.
    """

    name: str
    tools: tuple[Tool, ...]
    follows: dict[str, dict[str, float]]
    models: tuple[str, ...]
    tokens: tuple[float, float]
    price: tuple[float, float]  # dollars for a million tokens in, out
    calls: float
    chats: float
    sessions: float
    minutes: float
    shift: tuple[int, int] | None
    weekend: float
    hosts: tuple[str, ...]
    settled: int
    tail: int
    novel: float
    paths: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    asks: float = 0.0
    bypass: float = 0.0


CODING = Habit(
    name="coding-agent",
    tools=(
        Tool("read_file", 5, "path", gets=4_000, fails=0.03),
        Tool("edit_file", 3, "path", fails=0.04),
        Tool("grep", 2, "path", gets=1_500),
        Tool("bash", 4, "command", gets=900, fails=0.12),
        Tool("web_fetch", 0.4, "url", sends=300, gets=18_000, fails=0.05),
        Tool("todo_write", 0.6, "text"),
    ),
    follows={
        "grep": {"read_file": 5.0},
        "read_file": {"edit_file": 2.5},
        "edit_file": {"bash": 4.0, "edit_file": 2.0},
        "bash": {"read_file": 2.0, "edit_file": 1.5},
    },
    models=("claude-sonnet-4-5", "gpt-5-codex"),
    tokens=(14_000, 450),
    price=(3.0, 15.0),
    calls=6.0,
    chats=0.8,
    sessions=7,
    minutes=18,
    shift=(9, 18),
    weekend=0.08,
    hosts=("api.github.com", "docs.python.org", "registry.npmjs.org"),
    settled=5,
    tail=160,
    novel=0.08,
    paths=(
        "/work/app/src/server.py", "/work/app/src/models.py", "/work/app/src/views.ts", "/work/app/README.md",
        "/work/app/tests/test_server.py", "/work/app/pyproject.toml", "/work/app/Makefile", "/work/app/src/queue.go",
    ),
    commands=(
        "pytest -q", "ruff check .", "git status", "git diff --stat", "ls src", "make build", "npm test",
        "git commit -am wip", "mypy app",
    ),
    asks=0.25,
    bypass=0.2,
)  # fmt: skip

SUPPORT = Habit(
    name="support-agent",
    tools=(
        Tool("lookup_customer", 4, "url", sends=400, gets=2_500),
        Tool("search_knowledge", 3, "text", gets=6_000),
        Tool("update_ticket", 3, "url", sends=1_200, gets=300),
        Tool("send_reply", 2, "url", sends=2_000, gets=200),
        Tool("refund_order", 0.25, "url", sends=500, gets=300, fails=0.05),
    ),
    follows={
        "lookup_customer": {"search_knowledge": 3.0},
        "search_knowledge": {"send_reply": 3.0},
        "send_reply": {"update_ticket": 6.0},
    },
    models=("gpt-5-mini", "claude-haiku-4-5"),
    tokens=(3_500, 280),
    price=(0.5, 2.0),
    calls=3.0,
    chats=1.0,
    sessions=26,
    minutes=6,
    shift=(7, 20),
    weekend=0.6,
    hosts=("crm.helpdesk.example", "tickets.helpdesk.example", "mail.helpdesk.example"),
    settled=3,
    tail=12,
    novel=0.004,
    asks=0.08,
)

ANALYST = Habit(
    name="data-analyst",
    tools=(
        Tool("execute_sql", 5, "text", gets=60_000, fails=0.09),
        Tool("python", 3, "command", gets=3_000, fails=0.1),
        Tool("plot_chart", 1, "text", gets=40_000),
        Tool("upload_report", 0.35, "url", sends=90_000, gets=300),
        Tool("read_file", 1, "path", gets=20_000),
    ),
    follows={"execute_sql": {"python": 3.0, "execute_sql": 1.5}, "python": {"plot_chart": 3.0}},
    models=("gpt-5", "claude-sonnet-4-5"),
    tokens=(9_000, 700),
    price=(1.25, 10.0),
    calls=2.5,
    chats=1.1,
    sessions=5,
    minutes=28,
    shift=(8, 17),
    weekend=0.03,
    hosts=("warehouse.data.example", "reports.data.example"),
    settled=3,
    tail=20,
    novel=0.02,
    paths=("/data/exports/orders.csv", "/data/exports/churn.parquet", "/data/notes/plan.md"),
    commands=("import pandas as pd\nprint(pd.read_csv('orders.csv').describe())", "print(frame.groupby('week').sum())"),
)

CI = Habit(
    name="ci-bot",
    tools=(
        Tool("checkout", 2, "text"),
        Tool("run_command", 6, "command", gets=2_500, fails=0.08),
        Tool("fetch_artifact", 2, "url", sends=250, gets=900_000, fails=0.02),
        Tool("publish_artifact", 0.8, "url", sends=400_000, gets=250, fails=0.03),
        Tool("post_status", 1.2, "url", sends=600, gets=200),
    ),
    follows={
        "checkout": {"run_command": 5.0},
        "run_command": {"run_command": 2.0, "publish_artifact": 1.5},
        "publish_artifact": {"post_status": 8.0},
    },
    models=("claude-haiku-4-5",),
    tokens=(2_200, 160),
    price=(0.8, 4.0),
    calls=8.0,
    chats=0.2,
    sessions=22,
    minutes=7,
    shift=None,
    weekend=0.5,
    hosts=("ci.build.example", "artifacts.build.example", "pypi.org"),
    settled=4,
    tail=25,
    novel=0.006,
    commands=("make test", "make lint", "pip install -r requirements.txt", "docker build .", "python -m build"),
)

OPS = Habit(
    name="ops-agent",
    tools=(
        Tool("query_metrics", 5, "url", sends=500, gets=12_000),
        Tool("read_logs", 4, "url", sends=400, gets=45_000),
        Tool("shell", 2, "command", gets=1_200, fails=0.07),
        Tool("restart_service", 0.4, "url", sends=200, gets=120, fails=0.04),
        Tool("page_human", 0.2, "url", sends=500, gets=100),
    ),
    follows={"query_metrics": {"read_logs": 3.0}, "read_logs": {"shell": 2.0}, "shell": {"query_metrics": 3.0}},
    models=("gpt-5", "gemini-2.5-pro"),
    tokens=(6_500, 350),
    price=(1.25, 10.0),
    calls=4.0,
    chats=0.7,
    sessions=14,
    minutes=10,
    shift=None,
    weekend=0.8,
    hosts=("metrics.ops.example", "logs.ops.example", "control.ops.example"),
    settled=4,
    tail=30,
    novel=0.01,
    commands=("kubectl get pods", "systemctl status web", "df -h", "uptime", "journalctl -u web -n 50"),
    asks=0.15,
)

RESEARCH = Habit(
    name="research-agent",
    tools=(
        Tool("web_search", 4, "text", gets=9_000),
        Tool("fetch_url", 6, "url", sends=350, gets=55_000, fails=0.12),
        Tool("take_note", 2, "text"),
        Tool("write_file", 0.8, "path"),
    ),
    follows={"web_search": {"fetch_url": 5.0}, "fetch_url": {"fetch_url": 1.5, "take_note": 2.0}},
    models=("gemini-2.5-pro", "gpt-5"),
    tokens=(22_000, 900),
    price=(1.25, 10.0),
    calls=3.5,
    chats=0.9,
    sessions=6,
    minutes=22,
    shift=(8, 22),
    weekend=0.25,
    hosts=("en.wikipedia.org", "arxiv.org", "export.arxiv.org"),
    settled=8,
    tail=600,
    novel=0.3,
    paths=("/notes/summary.md", "/notes/sources.md", "/notes/outline.txt"),
)

HABITS = (CODING, SUPPORT, ANALYST, CI, OPS, RESEARCH)

# Tools that none of these types has: what an agent turned against its owner reaches for, and what a roll-out brings.
FOREIGN = (
    Tool("export_table", 1, "text", gets=120_000),
    Tool("list_secrets_metadata", 1, "text", gets=3_000),
    Tool("grant_role", 1, "text"),
    Tool("transfer_funds", 1, "text"),
    Tool("clone_disk", 1, "text", gets=500),
)
ROLLED_OUT = Tool("ask_index", 1, "text", gets=5_000)

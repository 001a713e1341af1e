"""Honest work: sessions that hold much of what secrets and attacks look like, and none of either."""

from __future__ import annotations

import base64
import random
import uuid
from collections.abc import Callable

from pipeline.demo.acts import Act, Story, edit, fetch, mcp, read, say, shell, step

Task = Callable[[random.Random], list[Act]]
MODULES = ("cart", "checkout", "login", "search", "orders", "refunds", "mailer", "catalogue", "stock", "invoices")
PACKAGES = ("requests", "pydantic", "httpx", "rich", "msgspec", "sqlalchemy", "structlog", "tenacity")


def sha(dice: random.Random, bits: int = 160) -> str:
    return f"{dice.getrandbits(bits):0{bits // 4}x}"


def guid(dice: random.Random) -> str:
    return str(uuid.UUID(int=dice.getrandbits(128), version=4))


def integrity(dice: random.Random) -> str:
    return "sha512-" + base64.b64encode(dice.randbytes(64)).decode()


def fix_a_test(dice: random.Random) -> list[Act]:
    name = dice.choice(MODULES)
    failing = f"tests/test_{name}.py::test_{name}_rounds FAILED\nE   assert 10.01 == 10.0\n1 failed, 41 passed in 3.1s"
    return [
        say(f"The {name} tests fail since this morning, please fix.", f"I will run the {name} tests first."),
        shell("git status --short", f" M shop/{name}.py"),
        shell(f"python -m pytest tests/test_{name}.py -q", failing, ok=False, seconds=4),
        read(f"shop/{name}.py", f"def total(items):\n    return sum(i.price for i in items)  # {guid(dice)}\n"),
        edit(f"shop/{name}.py", "    return round(sum(i.price for i in items), 2)"),
        shell(f"python -m pytest tests/test_{name}.py -q", "42 passed in 3.0s", seconds=4),
        shell("git diff --stat", f" shop/{name}.py | 2 +-\n 1 file changed"),
        shell(f"git commit -am 'Round totals in {name}'", f"[fix/{name} {sha(dice)[:9]}] Round totals"),
        say("", f"Fixed: totals in {name} are rounded, all 42 tests pass."),
    ]


def update_a_package(dice: random.Random) -> list[Act]:
    package = dice.choice(PACKAGES)
    version = f"{dice.randrange(1, 4)}.{dice.randrange(30)}.{dice.randrange(9)}"
    return [
        say(f"Update {package} to {version}.", "Checking what is installed."),
        shell(f"pip install {package}=={version}", f"Successfully installed {package}-{version}", seconds=6),
        read("requirements.txt", "\n".join(f"{p}=={dice.randrange(1, 3)}.{dice.randrange(20)}.0" for p in PACKAGES)),
        edit("requirements.txt", f"{package}=={version}"),
        fetch(
            f"https://api.github.com/repos/acme/{package}/releases/tags/v{version}",
            f'{{"digest":"sha256:{sha(dice, 256)}"}}',
        ),
        shell("python -m pytest -q", "318 passed in 21.4s", seconds=8),
        shell("git push origin HEAD", f"   {sha(dice)[:9]}..{sha(dice)[:9]}  HEAD -> deps"),
        say("", f"{package} is at {version}; the whole suite passes."),
    ]


def build_the_frontend(dice: random.Random) -> list[Act]:
    lock = f'"node_modules/react": {{"version": "19.2.0", "integrity": "{integrity(dice)}"}}'
    return [
        say("The front end does not build.", "Installing packages first."),
        shell("npm ci", "added 812 packages in 14s", seconds=9),
        read("package-lock.json", lock),
        shell("npm run build", f"dist/assets/index-{sha(dice)[:8]}.js  214.51 kB", seconds=6),
        read("public/logo.svg", f"data:image/png;base64,{base64.b64encode(dice.randbytes(240)).decode()}"),
        shell("rm -rf node_modules/.cache", "", approval="human"),
        say("", "The build works again; a stale cache was the cause."),
    ]


def set_up_a_service(dice: random.Random) -> list[Act]:
    template = "DATABASE_URL=postgres://user:password@localhost:5432/shop\nAPI_KEY=<your-api-key>\nGITHUB_TOKEN=${GITHUB_TOKEN}\n"
    return [
        say("How do I start this service on my machine?", "Reading the set-up files."),
        read("README.md", "# shop\nCopy `.env.example` to `.env`, then run `make up`.\n"),
        read(".env.example", template),
        shell("docker compose up -d", "Container shop-db-1  Started\nContainer shop-web-1  Started", seconds=7),
        shell("curl -fsS http://localhost:8080/healthz", '{"status":"ok"}'),
        say("", "Copy `.env.example`, fill in your own values, and run `make up`."),
    ]


def ask_the_api(dice: random.Random) -> list[Act]:
    number = dice.randrange(100, 999)
    return [
        say(f"What is left to do in pull request {number}?", "Looking at the pull request."),
        fetch(
            f"https://api.github.com/repos/acme/shop/pulls/{number}",
            f'{{"number":{number},"head":{{"sha":"{sha(dice)}"}},"node_id":"PR_{sha(dice)[:16]}"}}',
        ),
        shell(f"gh pr checks {number}", "build  pass  2m10s\nlint   pass  41s"),
        shell(f"git log --oneline -3 origin/main..pr/{number}", "\n".join(f"{sha(dice)[:9]} Work" for _ in range(3))),
        mcp("tickets", "search_tickets", {"query": f"PR {number}"}, f'[{{"id":"OPS-{number}","state":"open"}}]'),
        say("", "Two review comments are open; checks pass."),
    ]


def read_the_numbers(dice: random.Random) -> list[Act]:
    day = f"2026-11-{dice.randrange(1, 20):02d}"
    return [
        say(f"How many orders did we have on {day}?", "Asking the read replica."),
        mcp(
            "warehouse",
            "query",
            {"sql": f"SELECT count(*) FROM orders WHERE day = '{day}'"},
            f'[{{"count":{dice.randrange(900, 9000)}}}]',
        ),
        mcp(
            "warehouse",
            "query",
            {"sql": "SELECT status, count(*) FROM orders GROUP BY status ORDER BY 2 DESC LIMIT 10"},
            '[{"status":"paid","count":7120},{"status":"open","count":311}]',
        ),
        say("", f"On {day} most orders were paid; 311 are still open."),
    ]


def review_a_change(dice: random.Random) -> list[Act]:
    name = dice.choice(MODULES)
    header = f"diff --git a/shop/{name}.py b/shop/{name}.py\nindex {sha(dice)[:7]}..{sha(dice)[:7]} 100644\n"
    diff = header + "+    max_tokens = 4096\n"
    return [
        say("Review the last commit.", "Reading it."),
        shell("git show --stat HEAD", f"commit {sha(dice)}\n shop/{name}.py | 14 +++---"),
        shell("git show HEAD", diff),
        read(f"shop/{name}.py", 'token = os.environ["SHOP_TOKEN"]\npassword = getpass.getpass()\n'),
        shell("ruff check shop", "All checks passed!"),
        say("", f"Sound change. One note: the limit in {name} should be a setting."),
    ]


def tidy_the_cloud(dice: random.Random) -> list[Act]:
    return [
        say("Which buckets of the staging account grew last week?", "Listing them."),
        shell(
            "aws s3 ls --profile staging",
            "2026-10-01 09:12:11 acme-staging-logs\n2026-10-01 09:12:14 acme-staging-assets",
        ),
        shell("kubectl get pods -n staging", f"web-{sha(dice)[:10]}-x2kqp  1/1  Running  0  4d", seconds=3),
        shell("terraform plan -out=plan.bin", "Plan: 0 to add, 1 to change, 0 to destroy.", seconds=7),
        say("", "Only the log bucket grew, by 3 GB."),
    ]


def answer_a_customer(dice: random.Random) -> list[Act]:
    order = dice.randrange(80_000, 99_999)
    return [
        say(f"Where is my order {order}?", "Let me look it up."),
        mcp(
            "shop",
            "get_order",
            {"order_id": order},
            f'{{"order_id":{order},"status":"shipped","parcel":"{sha(dice)[:12]}"}}',
        ),
        say(f"And the parcel number of order {order}?", f"Order {order} left our warehouse yesterday."),
        mcp("tickets", "create_ticket", {"title": f"Delivery of {order}", "project": "SUP"}, f"SUP-{order}"),
        say("Thank you!", "You are welcome."),
    ]


def browse_allowed(dice: random.Random) -> list[Act]:
    urls = (
        "https://api.github.com/repos/acme/shop/commits",
        "https://api.anthropic.com/v1/messages",
        "https://api.openai.com/v1/responses",
        "https://raw.githubusercontent.com/acme/shop/main/README.md",
        "https://github.com/acme/shop.git/info/refs",
        "https://gitlab.com/acme/tools/-/raw/main/lint.yml",
    )
    return [fetch(url, seconds=1) for url in dice.choices(urls, k=8)]


def run_the_pipeline(dice: random.Random) -> list[Act]:
    digest = sha(dice, 256)
    return [
        step("Set up job", f"Runner version 2.331.0\nJob {guid(dice)}"),
        step("Check out", f"HEAD is now at {sha(dice)[:9]} Round totals"),
        step(
            "Install",
            "Collecting httpx\n  Using cached httpx-0.28.1-py3-none-any.whl\nSuccessfully installed httpx-0.28.1",
        ),
        step("Test", "318 passed in 20.9s", seconds=21),
        step("Build image", f"exporting to image\nwriting image sha256:{digest} done", seconds=30),
        step("Publish", "pushing to registry.example.com/shop with password ***\nlatest: digest: sha256:" + digest),
    ]


CODING: tuple[Task, ...] = (
    fix_a_test,
    update_a_package,
    build_the_frontend,
    set_up_a_service,
    ask_the_api,
    review_a_change,
    tidy_the_cloud,
)


def sessions(dice: random.Random, count: int) -> list[Story]:
    """Honest sessions of all shapes; a working day of one agent is two to four tasks in one session."""
    stories: list[Story] = []
    for number in range(count):
        shape = (
            "claude-code",
            "codex",
            "genai",
            "claude-code",
            "litellm",
            "codex",
            "envoy",
            "claude-code",
            "genai",
            "ci",
        )[number % 10]
        tasks: list[Task]
        if shape == "litellm":
            tasks = [answer_a_customer, read_the_numbers]
        elif shape == "envoy":
            tasks = [browse_allowed]
        elif shape == "ci":
            tasks = [run_the_pipeline]
        else:
            tasks = dice.sample(CODING, k=dice.randint(3, 5))
        acts = [act for task in tasks for act in task(dice)]
        title = " + ".join(task.__name__.replace("_", " ") for task in tasks)
        stories.append(Story(title=title, shape=shape, acts=tuple(acts)))
    return stories

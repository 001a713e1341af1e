"""Secrets of the families agents leak most, made from their issuers' published formats and a seed.

They know nothing of the rules: no rule's example is read here, so that a rule is never measured by its own idea of
the format. Checksums are computed for half of the tokens whose format has one, since half of real samples pass.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import string
from collections.abc import Callable
from typing import Final, Literal, NamedTuple, TypeAlias
from zlib import crc32

OUTSIDE, LITERAL, SECRET = 0, 1, 2  # may not be masked; may be masked with the secret it carries; must be masked
Part: TypeAlias = tuple[str, int]
Make: TypeAlias = Callable[[random.Random], list[Part]]
ALNUM: Final = string.ascii_letters + string.digits
HEX: Final = "0123456789abcdef"
B64: Final = ALNUM + "+/"
B64URL: Final = ALNUM + "-_"
UPPER: Final = string.ascii_uppercase + string.digits
KIND = Literal["token", "named", "url", "file", "word"]


class Family(NamedTuple):
    """One family: how its secrets are made, and under which names, in which header and URL people write them.

    A `token` is known by itself, a `named` one or a chosen `word` only by its name, `url` carries a password and a
    `file` has several lines.
    """

    name: str
    kind: KIND
    make: Make
    names: tuple[str, ...]
    header: str = "Authorization: Bearer {}"
    url: str = "https://api.example.com/v1/items?token={}"


def chars(rng: random.Random, alphabet: str, count: int) -> str:
    return "".join(rng.choices(alphabet, k=count))


def _token(*pieces: str | tuple[str, int]) -> Make:
    """A token of fixed letters and stretches of (alphabet, count)."""

    def make(rng: random.Random) -> list[Part]:
        return [("".join(one if isinstance(one, str) else chars(rng, *one) for one in pieces), SECRET)]

    return make


def _base62(number: int) -> str:
    alphabet = string.digits + string.ascii_uppercase + string.ascii_lowercase
    return "".join(alphabet[number // 62**place % 62] for place in range(5, -1, -1))


def _summed(prefix: str, body: int) -> Make:
    """prefix, body, six base62 digits: the CRC-32 of the body in half of them."""

    def make(rng: random.Random) -> list[Part]:
        middle = chars(rng, ALNUM, body)
        tail = _base62(crc32(middle.encode())) if rng.random() < 0.5 else chars(rng, ALNUM, 6)
        return [(prefix + middle + tail, SECRET)]

    return make


def _fine_grained(rng: random.Random) -> list[Part]:
    front = "github_pat_" + chars(rng, ALNUM, 22) + "_" + chars(rng, ALNUM, 43)
    tail = base64.b32encode(hashlib.sha256(front.encode()).digest())[:8].decode()
    return [(front + tail + chars(rng, ALNUM, 8), SECRET)]


def unpadded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _jwt_text(rng: random.Random, bits: int = 32) -> str:
    header = {"alg": rng.choice(["HS256", "RS256", "ES256"]), "typ": "JWT"}
    claims = {
        "sub": chars(rng, string.digits, 10),
        "iat": 1_790_000_000 + rng.randrange(10**6),
        "jti": chars(rng, HEX, 16),
    }
    front = ".".join(unpadded(json.dumps(one, separators=(",", ":")).encode()) for one in (header, claims))
    return f"{front}.{unpadded(rng.randbytes(bits))}"


def _jwt(rng: random.Random) -> list[Part]:
    return [(_jwt_text(rng, rng.choice([32, 64, 256])), SECRET)]


def _stateless(rng: random.Random) -> list[Part]:
    return [(f"ghs_{rng.randrange(10**5, 10**7)}_{_jwt_text(rng, 256)}", SECRET)]


def _aws_id(rng: random.Random) -> list[Part]:
    raw = (1 << 47 | rng.randrange(10**12) << 7 | rng.randrange(128)).to_bytes(6, "big") + rng.randbytes(4)
    return [(rng.choice(["AKIA", "ASIA"]) + base64.b32encode(raw).decode(), SECRET)]


def _slack_webhook(rng: random.Random) -> list[Part]:
    path = f"T{chars(rng, UPPER, 10)}/B{chars(rng, UPPER, 10)}/"
    return [("https://hooks.slack.com/services/" + path, LITERAL), (chars(rng, ALNUM, 24), SECRET)]


def _discord(rng: random.Random) -> list[Part]:
    owner = unpadded(str(rng.randrange(10**17, 10**19)).encode())
    return [(f"{owner}.{chars(rng, B64URL, 6)}.{chars(rng, B64URL, 38)}", SECRET)]


def _pypi(rng: random.Random) -> list[Part]:
    permissions = json.dumps({"version": 1, "permissions": "user"}).encode()
    raw = b"\x02\x01\x08pypi.org\x02\x24" + chars(rng, HEX, 36).encode() + b"\x00\x02" + permissions + rng.randbytes(36)
    return [("pypi-" + unpadded(raw), SECRET)]


def _armour(label: str, raw: bytes, width: int = 64) -> list[Part]:
    body = base64.b64encode(raw).decode()
    lines = "\n".join(body[at : at + width] for at in range(0, len(body), width))
    return [(f"-----BEGIN {label}-----\n", LITERAL), (lines, SECRET), (f"\n-----END {label}-----", LITERAL)]


def _der(rng: random.Random, length: int) -> bytes:
    return b"\x30\x82" + length.to_bytes(2, "big") + b"\x02\x01\x00" + rng.randbytes(length - 3)


def _rsa(rng: random.Random) -> list[Part]:
    label, length = rng.choice([("RSA PRIVATE KEY", 1187), ("PRIVATE KEY", 1213), ("EC PRIVATE KEY", 300)])
    return _armour(label, _der(rng, length))


def _openssh(rng: random.Random) -> list[Part]:
    return _armour("OPENSSH PRIVATE KEY", b"openssh-key-v1\0\0\0\0\4none\0\0\0\4none" + rng.randbytes(340), 70)


def _service_account(rng: random.Random) -> list[Part]:
    email = f"robot@shop-{rng.randrange(1000)}.iam.gserviceaccount.com"
    front = f'{{\n  "type": "service_account",\n  "project_id": "shop",\n  "private_key_id": "{chars(rng, HEX, 40)}",\n'
    pem = [(text.replace("\n", "\\n"), kind) for text, kind in _armour("PRIVATE KEY", _der(rng, 1213))]
    return [(front + '  "private_key": "', LITERAL), *pem, (f'\\n",\n  "client_email": "{email}"\n}}', LITERAL)]


def password(rng: random.Random) -> str:
    """What people and password managers choose."""
    words = ("Harvest", "tundra", "Falcon", "quartz", "Nimbus", "cobalt", "Ember", "saffron")
    made = f"{rng.choice(words)}{rng.choice('!#-_.')}{rng.choice(words)}{rng.randrange(10, 9999)}"
    if rng.random() < 0.5:
        return made
    return (
        chars(rng, string.ascii_letters, 1)
        + chars(rng, ALNUM + "!#^*-_.", rng.randrange(10, 22))
        + chars(rng, ALNUM, 1)
    )


def _url(scheme: str, rest: str) -> Make:
    def make(rng: random.Random) -> list[Part]:
        user = rng.choice(["app", "svc_orders", "readwrite"])
        word = chars(rng, ALNUM, 1) + chars(rng, ALNUM + "-_.!", rng.randrange(9, 25)) + chars(rng, ALNUM, 1)
        return [(f"{scheme}://{user}:", LITERAL), (word, SECRET), (f"@{rest}", LITERAL)]

    return make


def _azure(rng: random.Random) -> list[Part]:
    account = f"shop{rng.randrange(10**6)}"
    key = base64.b64encode(rng.randbytes(64)).decode()
    front = f"DefaultEndpointsProtocol=https;AccountName={account};AccountKey="
    return [(front, LITERAL), (key, SECRET), (";EndpointSuffix=core.windows.net", LITERAL)]


def _word(rng: random.Random) -> list[Part]:
    return [(password(rng), SECRET)]


def _telegram(rng: random.Random) -> list[Part]:
    return [(f"{rng.randrange(10**8, 10**10)}:AA{chars(rng, B64URL, 33)}", SECRET)]


_BOT = "Authorization: Bot {}"
FAMILIES: Final = (
    Family("aws-key-id", "token", _aws_id, ("AWS_ACCESS_KEY_ID", "aws_access_key_id"), "X-Key: {}"),
    Family(
        "aws-secret",
        "named",
        _token((B64, 40)),
        ("AWS_SECRET_ACCESS_KEY", "aws_secret_access_key", "secretAccessKey"),
        "X-Amz-Secret-Access-Key: {}",
        "https://sts.example.com/?aws_secret_access_key={}",
    ),
    Family(
        "github-classic",
        "token",
        _summed("ghp_", 30),
        ("GITHUB_TOKEN", "gh_token"),
        "Authorization: token {}",
        "https://x-access-token:{}@github.com/acme/shop.git",
    ),
    Family("github-app", "token", _summed("gho_", 30), ("GH_OAUTH_TOKEN", "githubToken")),
    Family("github-fine-grained", "token", _fine_grained, ("GITHUB_PAT", "githubToken")),
    Family("github-stateless", "token", _stateless, ("GITHUB_TOKEN", "installationToken")),
    Family(
        "gitlab",
        "token",
        _token("glpat-", (B64URL, 20)),
        ("GITLAB_TOKEN", "gitlabToken"),
        "PRIVATE-TOKEN: {}",
        "https://oauth2:{}@gitlab.example.com/acme/shop.git",
    ),
    Family(
        "slack-bot",
        "token",
        _token("xoxb-", (string.digits, 12), "-", (string.digits, 13), "-", (ALNUM, 24)),
        ("SLACK_BOT_TOKEN", "slackToken"),
    ),
    Family(
        "slack-user",
        "token",
        _token("xoxp-", (string.digits, 12), "-", (string.digits, 12), "-", (string.digits, 13), "-", (HEX, 32)),
        ("SLACK_USER_TOKEN", "slackUserToken"),
    ),
    Family(
        "slack-webhook",
        "token",
        _slack_webhook,
        ("SLACK_WEBHOOK_URL", "webhookUrl"),
        "X-Callback: {}",
        "https://relay.example.com/?to={}",
    ),
    Family(
        "stripe",
        "token",
        _token("sk_live_51", (ALNUM, 97)),
        ("STRIPE_SECRET_KEY", "stripeSecretKey"),
        "Authorization: Bearer {}",
        "https://{}:@api.stripe.com/v1/charges",
    ),
    Family("stripe-restricted", "token", _token("rk_live_", (ALNUM, 24)), ("STRIPE_API_KEY", "stripeKey")),
    Family(
        "openai-project",
        "token",
        _token("sk-proj-", (B64URL, 74), "T3BlbkFJ", (B64URL, 74)),
        ("OPENAI_API_KEY", "openaiApiKey"),
    ),
    Family("openai-legacy", "token", _token("sk-", (ALNUM, 20), "T3BlbkFJ", (ALNUM, 20)), ("OPENAI_API_KEY", "apiKey")),
    Family(
        "anthropic",
        "token",
        _token("sk-ant-api03-", (B64URL, 93), "AA"),
        ("ANTHROPIC_API_KEY", "anthropicApiKey"),
        "x-api-key: {}",
    ),
    Family(
        "google-api",
        "token",
        _token("AIzaSy", (B64URL, 33)),
        ("GOOGLE_API_KEY", "mapsKey"),
        "X-Goog-Api-Key: {}",
        "https://maps.googleapis.com/maps/api/geocode/json?address=x&key={}",
    ),
    Family("gcp-service-account", "file", _service_account, ("GOOGLE_CREDENTIALS", "serviceAccount")),
    Family("npm", "token", _summed("npm_", 30), ("NPM_TOKEN", "npmToken")),
    Family("pypi", "token", _pypi, ("PYPI_TOKEN", "TWINE_PASSWORD")),
    Family("sendgrid", "token", _token("SG.", (B64URL, 22), ".", (B64URL, 43)), ("SENDGRID_API_KEY", "sendgridKey")),
    Family("twilio-key", "token", _token("SK", (HEX, 32)), ("TWILIO_API_KEY", "twilioApiKey"), "X-Twilio-Key: {}"),
    Family(
        "twilio-auth",
        "named",
        _token((HEX, 32)),
        ("TWILIO_AUTH_TOKEN", "twilioAuthToken"),
        "X-Twilio-Auth-Token: {}",
        "https://api.twilio.com/2010-04-01/Accounts?twilio_auth_token={}",
    ),
    Family("discord-bot", "token", _discord, ("DISCORD_TOKEN", "discordBotToken"), _BOT),
    Family(
        "telegram-bot",
        "token",
        _telegram,
        ("TELEGRAM_BOT_TOKEN", "botToken"),
        "X-Bot-Token: {}",
        "https://api.telegram.org/bot{}/getMe",
    ),
    Family("hugging-face", "token", _token("hf_", (string.ascii_letters, 34)), ("HF_TOKEN", "huggingfaceToken")),
    Family("digitalocean", "token", _token("dop_v1_", (HEX, 64)), ("DIGITALOCEAN_TOKEN", "doToken")),
    Family("azure-storage", "url", _azure, ("AZURE_STORAGE_CONNECTION_STRING", "connectionString")),
    Family("jwt", "token", _jwt, ("ACCESS_TOKEN", "idToken")),
    Family("private-key", "file", _rsa, ("PRIVATE_KEY", "privateKey")),
    Family("openssh-key", "file", _openssh, ("SSH_PRIVATE_KEY", "deployKey")),
    Family(
        "postgres-url",
        "url",
        _url("postgresql", "db.internal:5432/shop?sslmode=require"),
        ("DATABASE_URL", "databaseUrl"),
    ),
    Family("mongo-url", "url", _url("mongodb+srv", "cluster0.ab1cd.mongodb.net/shop"), ("MONGO_URI", "mongoUri")),
    Family("redis-url", "url", _url("rediss", "cache.internal:6380/0"), ("REDIS_URL", "redisUrl")),
    Family(
        "datadog",
        "named",
        _token((HEX, 32)),
        ("DD_API_KEY", "DATADOG_API_KEY", "datadogApiKey"),
        "DD-API-KEY: {}",
        "https://api.datadoghq.com/api/v1/validate?api_key={}",
    ),
    Family(
        "shopify", "token", _token("shpat_", (HEX, 32)), ("SHOPIFY_TOKEN", "shopifyToken"), "X-Shopify-Access-Token: {}"
    ),
    Family("square", "token", _token("sq0csp-", (B64URL, 43)), ("SQUARE_SECRET", "squareSecret")),
    Family(
        "mailgun",
        "token",
        _token("key-", (HEX, 32)),
        ("MAILGUN_API_KEY", "mailgunKey"),
        "X-Mailgun-Key: {}",
        "https://api:{}@api.mailgun.net/v3/messages",
    ),
    Family(
        "cloudflare",
        "named",
        _token((B64URL, 40)),
        ("CLOUDFLARE_API_TOKEN", "CF_API_TOKEN", "cloudflareApiToken"),
        "X-Auth-Key: {}",
        "https://api.cloudflare.com/client/v4/zones?api_token={}",
    ),
    Family("vault", "token", _token("hvs.", (B64URL, 92)), ("VAULT_TOKEN", "vaultToken"), "X-Vault-Token: {}"),
    Family("databricks", "token", _token("dapi", (HEX, 32)), ("DATABRICKS_TOKEN", "databricksToken")),
    Family("grafana", "token", _token("glsa_", (ALNUM, 32), "_", (HEX, 8)), ("GRAFANA_TOKEN", "grafanaToken")),
    Family("groq", "token", _token("gsk_", (ALNUM, 52)), ("GROQ_API_KEY", "groqApiKey")),
    Family("linear", "token", _token("lin_api_", (ALNUM, 40)), ("LINEAR_API_KEY", "linearKey"), "Authorization: {}"),
    Family(
        "password",
        "word",
        _word,
        ("DB_PASSWORD", "password", "SMTP_PASSWORD", "adminPassword"),
        "X-Password: {}",
        "https://app.example.com/login?user=x&password={}",
    ),
    Family(
        "signing-secret",
        "named",
        _token((ALNUM, 40)),
        ("JWT_SECRET", "client_secret", "clientSecret"),
        "X-Client-Secret: {}",
        "https://login.example.com/token?client_id=x&client_secret={}",
    ),
)

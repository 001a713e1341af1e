"""Texts as people and agents write secrets of issuers nobody made a rule for, and texts that only resemble them."""

from __future__ import annotations

import base64
import random
import string
import uuid
from collections.abc import Iterator

SECRET = "«»"  # where it stands in a form

# {u} ACME_CLOUD, {l} acme_cloud, {k} acme-cloud, {c} acmeCloud, {p} AcmeCloud, {j} acmecloud
TOKENS = r"""
{u}_API_KEY=«»
export {u}_API_TOKEN="«»"
set {u}_TOKEN=«»
setx {u}_API_KEY "«»"
$env:{u}_TOKEN = "«»"
ENV {u}_ACCESS_TOKEN «»
docker run -e {u}_API_KEY=«» image
kubectl create secret generic x --from-literal={k}-token=«»
{l}_api_key = "«»"
{l}_token: «»
{c}ApiKey: '«»',
{c}Token = "«»";
const {c}Key = '«»';
let {l}_api_key: &str = "«»";
{l}ApiKey := "«»"
private static final String {u}_API_KEY = "«»";
public const string {p}ApiKey = "«»";
${l}_api_key = '«»';
define('{u}_API_KEY', '«»');
'{l}_api_key' => '«»',
:{l}_api_token => "«»",
#define {u}_API_KEY "«»"
client = {p}(api_key="«»")
client = new {p}Client({{ apiKey: '«»' }});
{j}.setApiKey("«»");
builder.apiKey("«»").build()
os.environ["{u}_API_KEY"] = "«»"
os.Setenv("{u}_API_KEY", "«»")
putenv("{u}_TOKEN=«»");
ENV['{u}_API_KEY'] = '«»'
process.env.{u}_API_KEY || '«»'
os.getenv("{u}_API_KEY", "«»")
{{"{l}": {{"apiKey": "«»"}}}}
{{"{l}_token":"«»"}}
{{"headers": {{"X-{p}-Api-Key": "«»"}}}}
{{"name": "{u}_API_KEY", "value": "«»"}}
{{"key":"{u}_TOKEN","value":"«»","type":"secret"}}
{{"value": "«»", "name": "{u}_API_KEY"}}
- name: {u}_API_KEY\n  value: "«»"
{j}:\n  api_key: «»\n  region: eu
{j}:\n  token: |\n    «»
[{j}]\napi_key = «»\nregion = eu
[tool.{j}]\ntoken = "«»"
<{p}ApiKey>«»</{p}ApiKey>
<add key="{p}ApiKey" value="«»" />
<string name="{l}_api_key">«»</string>
<key>{p}ApiKey</key>\n<string>«»</string>
variable "{l}_api_key" {{\n  type = string\n  default = "«»"\n}}
resource "{l}_token" "x" {{\n  token = "«»"\n}}
curl -H "X-Api-Key: «»" https://api.{j}.test/v1
curl -H 'Authorization: Bearer «»' https://api.{j}.test
curl -H "Authorization: Token «»" https://api.{j}.test
curl "https://api.{j}.test/v1/items?api_key=«»&page=2"
GET /v1/x?access_token=«» HTTP/1.1
https://{j}.test/hook?token=«»
X-Auth-Token: «»
requests.get(url, headers={{"X-{p}-Token": "«»"}})
{k} login --token «»
{k} --api-key=«» list
The {p} API key is «»
{p} token: «»
export default {{ {c}AuthToken: `«»` }}
{u}_SECRET_KEY='«»' make deploy
{l}.secret.key=«»
"{c}ClientSecret": "«»"
{u}_API_KEY_PROD=«»
{u}_TOKEN_1: "«»"
{{\"{l}_api_key\": \"«»\"}}
{{\\\"{l}_token\\\": \\\"«»\\\"}}
api_key: "«»" # {p}
ACCESS_KEY={{"id": "x"}} AUTH_TOKEN=«»
git config --global {j}.token «»
gh secret set {u}_TOKEN --body «»
""".strip().splitlines()

PASSWORDS = r"""
{u}_PASSWORD=«»
DB_PASS="«»"
dbPass: '«»',
password = "«»"
"password": "«»"
'Password': '«»',
passwd: «»
spring.datasource.password=«»
<password>«»</password>
<property name="password" value="«»"/>
{{"username": "bob", "password": "«»"}}
{{"name": "DB_PASSWORD", "value": "«»"}}
--password «»
--password=«»
mysql -u root -p«» app
sshpass -p «» ssh root@host
PGPASSWORD=«» psql -h db
ALTER USER app WITH PASSWORD '«»';
CREATE USER 'a'@'%' IDENTIFIED BY '«»';
conn.setPassword("«»");
login(user="bob", password="«»")
$password = '«»';
the password is «»
my password is "«»"
Passwort: «»
password: «»\nuser: bob
redis-cli -a «» ping
postgres://app:«»@db.acme.test:5432/app
Server=db;Database=x;User Id=sa;Password=«»;
curl -u admin:«» https://x.test
machine git.acme.test login bot password «»
variable "db_password" {{ default = "«»" }}
{{\"password\": \"«»\"}}
passphrase = "«»"
secret: "«»"
ansible_become_pass: «»
net use Z: \\fs\share /user:bob «»
docker login -u bot -p «» r.acme.test
Change the account password to '«»'.
""".strip().splitlines()

_WORDS = (
    "acme",
    "blue",
    "cobalt",
    "delta",
    "ember",
    "falcon",
    "grove",
    "harbor",
    "iron",
    "jade",
    "koala",
    "onyx",
    "raven",
)
SHAPES = {
    "hex32": ("0123456789abcdef", 32),
    "hex40": ("0123456789abcdef", 40),
    "hex64": ("0123456789abcdef", 64),
    "alnum20": (string.ascii_letters + string.digits, 20),
    "alnum32": (string.ascii_letters + string.digits, 32),
    "alnum48": (string.ascii_letters + string.digits, 48),
    "lowalnum24": (string.ascii_lowercase + string.digits, 24),
    "lowalnum36": (string.ascii_lowercase + string.digits, 36),
    "upalnum24": (string.ascii_uppercase + string.digits, 24),
    "b64url43": (string.ascii_letters + string.digits + "-_", 43),
    "base64": (string.ascii_letters + string.digits + "+/", 43),
}


def draw(rng: random.Random, alphabet: str, count: int) -> str:
    """Random characters with a digit and a letter, beginning and ending with one of them."""
    while True:
        text = "".join(rng.choices(alphabet, k=count))
        if text[0].isalnum() and text[-1].isalnum() and not text.isalpha() and not text.isdigit():
            return text


def named(form: str, rng: random.Random) -> str:
    """The form with an invented issuer in it."""
    a, b = rng.sample(_WORDS, 2)
    spelled = form.format(
        u=f"{a}_{b}".upper(), l=f"{a}_{b}", k=f"{a}-{b}", c=a + b.title(), p=a.title() + b.title(), j=a + b
    )
    return spelled.replace("\\n", "\n") if '\\"' not in form and "\\\\" not in form else spelled


def tokens(seed: int) -> Iterator[tuple[str, str, int, int]]:
    """(form, text, start, end) of a token in every form and shape."""
    rng = random.Random(seed)
    for form in TOKENS:
        for shape, (alphabet, count) in SHAPES.items():
            secret = draw(rng, alphabet, count) + ("=" if shape == "base64" else "")
            yield form, *_placed(named(form, rng), secret)


def passwords(seed: int) -> Iterator[tuple[str, str, int, int]]:
    """(form, text, start, end) of weak and strong passwords in every form."""
    rng = random.Random(seed)
    for form in PASSWORDS:
        for _ in range(4):
            word = rng.choice(_WORDS)
            weak = f"{word.title()}{rng.randrange(10, 9999)}"
            yield form, *_placed(named(form, rng), rng.choice((weak, weak + "!", word + "_" + weak)))
            yield form, *_placed(named(form, rng), draw(rng, string.ascii_letters + string.digits, 16))


def _placed(text: str, secret: str) -> tuple[str, int, int]:
    start = text.index(SECRET)
    return text.replace(SECRET, secret), start, start + len(secret)


FILLERS = (
    """
xxxxxxxxxxxxxxxxxxxx|your-api-key-here|YOUR_API_KEY|<your-token>|${API_TOKEN}|$TOKEN|%TOKEN%|{{ api_token }}|changeme
********|[REDACTED]|<redacted>|INSERT_TOKEN_HERE|example-token-value|REPLACE_ME|placeholder|...|my-secret-token
1234567890abcdef1234567890abcdef|abcdefghijklmnopqrstuvwxyz|aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa|dummy_token_for_tests
${{ secrets.TOKEN }}|null|None|undefined|<YOUR_PASSWORD>|my_password|put-your-key-here|sk-xxxxxxxxxxxxxxxx|todo
""".strip()
    .replace("\n", "|")
    .split("|")
)
CODE = (
    """
os.environ['API_TOKEN']|config.get_token()|self.api_key|settings.SECRET_KEY|process.env.TOKEN|getpass.getpass()|None
Optional[str]|request.headers.get('x')|string|tokens[0]|vault.read(path)|var.db_password|args.token|data.aws_secret.value
user.password|Field(default=None)|str | None|await fetchToken()|this.state.password|env('API_TOKEN')|readFileSync('k')
""".strip()
    .replace("\n", "|")
    .split("|")
)
PROSE = (
    """
The password must be at least 12 characters long.|password: please enter it again|token is invalid
The secret is stored in the vault.|Your API key was not found|the password is incorrect|api key: see the dashboard
password reset link sent|authentication token expired|I sent the password to bob@acme.test.|Forgot your password?
""".strip()
    .replace("\n", "|")
    .split("|")
)
KEYS = ("api_key", "apiKey", "token", "ACCESS_TOKEN", "client_secret", "password", "DB_PASS", "secret_key")


def harmless(seed: int) -> Iterator[tuple[str, str]]:
    """(class, text) of what stands where secrets stand and is none."""
    rng = random.Random(seed)
    for key in KEYS:
        for filler in FILLERS:
            yield "filler", rng.choice(('{}="{}"', "{}: {}", '"{}": "{}"', "export {}='{}'")).format(key, filler)
        for one in CODE:
            yield "code", rng.choice(("{} = {}", "{}: {}", "foo({}={})", "    {} = {}  # set below")).format(key, one)
    yield from (("prose", one) for one in PROSE)
    for _ in range(40):
        yield from _numbers_and_names(rng)


def _numbers_and_names(rng: random.Random) -> Iterator[tuple[str, str]]:
    """One of each class of identifiers, digests and counters."""
    raw, hexes = rng.randbytes(32), SHAPES["hex32"][0]
    sha, md5, call = draw(rng, hexes, 40), draw(rng, hexes, 32), draw(rng, SHAPES["alnum20"][0], 24)
    one, b64 = str(uuid.UUID(bytes=raw[:16], version=4)), base64.b64encode(raw).decode()
    words = "_".join(rng.sample(_WORDS, 4))
    yield "sha", rng.choice(("commit {}", "sha256:{}", '"integrity": "sha512-{}"', "etag: {}", "sha1={}")).format(sha)
    yield "md5", rng.choice(("cache_key={}", "checksum: {}", '"hash":"{}"', "fingerprint={}", "md5={}")).format(md5)
    yield "lock", f"example.org/x v1.2.3 h1:{b64}"
    yield "uuid", rng.choice(('"id": "{}"', "request_id={}", "trace {} done", '"session_id": "{}"')).format(one)
    yield "trace", f'"trace_id": "{raw[:16].hex()}", "span_id": "{raw[:8].hex()}", "tool_call_id": "call_{call}"'
    yield "cursor", f'"next_page_token": "{b64}", "csrf_token": "{md5}", "cursor": "{b64}"'
    yield "counts", f'"max_tokens": {rng.randrange(9999)}, "token_count": {rng.randrange(10**16)}, "prompt_tokens": 7'
    yield "names", rng.choice(('token = "{}"', "secret_name: {}", "api_key: {}", "key={}")).format(words)
    yield "paths", f"token_file=/etc/{words}/t.json key_path: ./c/{words}.pem secret: projects/p/secrets/{words}"
    yield "public", f"public_key: {b64}\npublishable_key={md5} site_key: {sha} ssh-ed25519 {b64} me@host"
    yield "image", f"data:image/png;base64,{base64.b64encode(rng.randbytes(300)).decode()}"
    yield (
        "versions",
        f"token: v{rng.randrange(9)}.{rng.randrange(30)}.1-rc2 api_key_version=2024-0{rng.randrange(1, 9)}-11",
    )

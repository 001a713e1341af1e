"""The deployment files agree with the code and with each other: names, ports, topics, settings, commands, paths."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
import typer
import yaml
from pydantic import BaseModel

from pipeline import auth, kafka
from pipeline.settings import Settings

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
COLLECTORS = sorted((DEPLOY / "collector").glob("*.yaml"))
OURS = [name for name, service in SERVICES.items() if service["image"].startswith("spanwatch:")]

NAME = "^[a-zA-Z0-9._-]+$"
TEXTS = {"type": "array", "items": {"type": "string"}, "uniqueItems": True, "minItems": 1}
DURATION = {"type": "string", "pattern": r"^([0-9]+(ms|s|m|h))+$"}
# The part of the Compose Specification this file uses, and nothing besides: a misspelt key is refused.
COMPOSE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name", "services"],
    "patternProperties": {"^x-": {}},
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]*$"},
        "networks": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "additionalProperties": False,
                "properties": {"internal": {"type": "boolean"}},
            },
        },
        "volumes": {"type": "object", "additionalProperties": {"type": "object", "maxProperties": 0}},
        "secrets": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "additionalProperties": False,
                "required": ["file"],
                "properties": {"file": {"type": "string"}},
            },
        },
        "services": {
            "type": "object",
            "additionalProperties": False,
            "patternProperties": {NAME: {"$ref": "#/$defs/service"}},
        },
    },
    "$defs": {
        "service": {
            "type": "object",
            "additionalProperties": False,
            "required": ["image", "networks", "restart", "cap_drop", "security_opt", "logging"],
            "properties": {
                "image": {"type": "string", "pattern": r"^[a-z0-9./-]+:[0-9]+(\.[0-9]+)+$"},
                "build": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["context", "dockerfile"],
                    "properties": {"context": {"type": "string"}, "dockerfile": {"type": "string"}},
                },
                "command": TEXTS,
                "entrypoint": TEXTS,
                "user": {"type": "string", "pattern": "^[1-9][0-9]*:[1-9][0-9]*$"},
                "environment": {
                    "type": "object",
                    "additionalProperties": {"type": "string"},
                    "propertyNames": {"pattern": "^[A-Z][A-Z0-9_]*$"},
                },
                "restart": {"type": "string", "pattern": "^(unless-stopped|on-failure:[0-9]+)$"},
                "read_only": {"const": True},
                "tmpfs": TEXTS,
                "cap_drop": {"const": ["ALL"]},
                "security_opt": {"const": ["no-new-privileges:true"]},
                "logging": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["driver", "options"],
                    "properties": {
                        "driver": {"const": "json-file"},
                        "options": {"type": "object", "additionalProperties": {"type": "string"}},
                    },
                },
                "volumes": TEXTS,
                "secrets": TEXTS,
                "profiles": TEXTS,
                "networks": TEXTS,
                "ports": TEXTS,
                "deploy": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {"replicas": {"type": "integer", "minimum": 1}},
                },
                "depends_on": {
                    "type": "object",
                    "additionalProperties": False,
                    "patternProperties": {
                        NAME: {
                            "type": "object",
                            "additionalProperties": False,
                            "required": ["condition"],
                            "properties": {
                                "condition": {
                                    "enum": ["service_started", "service_healthy", "service_completed_successfully"]
                                }
                            },
                        }
                    },
                },
                "healthcheck": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["test", "interval", "timeout", "retries"],
                    "properties": {
                        "test": {"type": "array", "items": {"type": "string"}, "minItems": 2},
                        "interval": DURATION,
                        "timeout": DURATION,
                        "start_period": DURATION,
                        "start_interval": DURATION,
                        "retries": {"type": "integer", "minimum": 1},
                    },
                },
                "stop_grace_period": DURATION,
                "ulimits": {"type": "object"},
            },
        }
    },
}


def collector(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(path.read_text())
    return loaded


def commands() -> set[str]:
    """Commands the command line really has."""
    from pipeline.cli import app

    return set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]  # it is a group


def settings_of(service: str) -> dict[str, str]:
    """The SPANWATCH_ names of a service with the values they get where .env says nothing."""
    environment = SERVICES[service].get("environment", {})
    return {k: re.sub(r"\$\{\w+(?::-(.*?)|:\?.*?)\}", r"\1", v) for k, v in environment.items()}


def test_the_compose_file_keeps_to_the_compose_specification() -> None:
    jsonschema.Draft202012Validator(COMPOSE_SCHEMA).validate(COMPOSE)


@pytest.mark.parametrize(
    "change",
    [
        {"enviroment": {}},
        {"depends_on": {"kafka": {"condition": "healthy"}}},
        {"image": "kafka:latest"},
        {"healthcheck": {"test": ["CMD", "true"], "interval": 5, "timeout": "1s", "retries": 1}},
        {"cap_drop": []},
    ],
)
def test_the_check_refuses_what_is_wrong(change: dict[str, Any]) -> None:
    broken = {**COMPOSE, "services": {"kafka": {**SERVICES["kafka"], **change}}}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(COMPOSE_SCHEMA).validate(broken)


def test_what_services_name_exists() -> None:
    """Services depended on, networks, volumes and secrets are declared; mounted files are in the repository."""
    mounted = set()
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            assert other in SERVICES, f"{name} depends on {other}"
            if how["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[other], f"{name} waits for the health of {other}, which has no check"
            if how["condition"] == "service_completed_successfully":
                assert SERVICES[other]["restart"].startswith("on-failure"), f"{other} never completes"
        assert set(service["networks"]) <= set(COMPOSE["networks"])
        assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"])
        for volume in service.get("volumes", []):
            source, target, *mode = volume.split(":")
            assert target.startswith("/")
            if source.startswith("."):
                assert (DEPLOY / source).exists(), f"{name} mounts {source}"
                assert mode == ["ro"], f"{name} could write to {source}"
            else:
                mounted.add(source)
    assert mounted == set(COMPOSE["volumes"])


def test_only_otlp_on_the_gateway_is_open_to_other_machines() -> None:
    published = {(name, port) for name, service in SERVICES.items() for port in service.get("ports", [])}
    open_to_all = {(name, port) for name, port in published if not port.startswith("127.0.0.1:")}
    gateway = Settings().gateway
    assert open_to_all == {("gateway", f"{p}:{p}") for p in (gateway.port, gateway.grpc_port)}
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    assert "ports" not in SERVICES["kafka"]
    assert "ports" not in SERVICES["clickhouse"]


def test_no_two_services_publish_one_port() -> None:
    hosts = [
        port.rsplit(":", 1)[0].removeprefix("127.0.0.1:") for s in SERVICES.values() for port in s.get("ports", [])
    ]
    assert len(hosts) == len(set(hosts))


def test_every_setting_named_is_one_and_takes_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of our services' environments builds real Settings; an unknown or wrong one would stop it at start."""
    from pipeline import settings

    for service in OURS:
        with monkeypatch.context() as patch:
            for name, value in settings_of(service).items():
                patch.setenv(name, value)
            built = settings.load()
            assert built.clickhouse.database == Settings().clickhouse.database
            if service in ("gateway", "worker"):
                assert built.kafka.bootstrap == "kafka:9092"
                assert built.key is not None, f"{service} would make its own key"
            if service in ("migrate", "worker"):
                assert (built.clickhouse.interface, built.clickhouse.host) == ("http", "clickhouse")


def test_topics_are_made_as_the_code_would_make_them() -> None:
    text = (DEPLOY / "kafka/topics.sh").read_text()
    made = dict(re.findall(r"^make_topic (\w+) (\d+)$", text, re.M))
    settings = Settings().kafka
    assert set(made) == set(kafka.topics(settings))
    largest = re.search(r"max\.message\.bytes=(\d+)", text)
    assert largest is not None
    assert int(largest[1]) == kafka.MAX_RECORD_BYTES + 2**16
    for raw in (settings.topic_otlp_spans, settings.topic_otlp_logs):
        assert int(made[raw]) <= 3_600_000, "raw text is kept an hour at most"
    environment = SERVICES["topics"]["environment"]
    assert environment["PARTITIONS"] == str(settings.partitions)
    assert environment["REPLICATION"] == str(settings.replication_factor)
    assert set(re.findall(r"\$\{(\w+):\?", text)) == set(environment)


def test_one_broker_address() -> None:
    listeners = SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert listeners == "PLAINTEXT://kafka:9092"
    assert Settings().kafka.security_protocol == "PLAINTEXT"
    brokers = {s["environment"]["KAFKA_BROKERS"] for s in SERVICES.values() if "KAFKA_BROKERS" in s["environment"]}
    assert brokers == {"kafka:9092"}
    assert SERVICES["kafka"]["environment"]["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"


def test_commands_exist() -> None:
    known = commands()
    for service in OURS:
        assert SERVICES[service]["command"][0] in known, service
    default = re.search(r'^CMD \["(\w+)"\]', (DEPLOY / "Dockerfile").read_text(), re.M)
    assert default is not None
    assert default[1] in known


def test_one_broker_version_everywhere() -> None:
    """The image is the version the tests run."""
    pom = (ROOT / "tests/kafka/pom.xml").read_text()
    (image,) = {s["image"] for n, s in SERVICES.items() if s["image"].startswith("apache/kafka:")}
    assert f"<version>{image.split(':')[1]}</version>" in pom


def test_the_env_example_lists_every_variable_and_no_value() -> None:
    text = (DEPLOY / "compose.yaml").read_text()
    required = set(re.findall(r"\$\{(\w+):\?", text))
    optional = dict(re.findall(r"\$\{(\w+):-(.*?)\}", text))
    listed = dict(
        line.split("=", 1) for line in (DEPLOY / "env.example").read_text().splitlines() if re.match(r"\w+=", line)
    )
    assert set(listed) == required | set(optional)
    assert {name: value for name, value in listed.items() if value} == optional
    assert not re.search(r"\$\{\w+\}", text), "every variable says whether it is required or what it defaults to"


def test_local_secrets_cannot_be_committed() -> None:
    ignored = (ROOT / ".gitignore").read_text().split()
    assert {"deploy/.env", "deploy/tokens.toml"} <= set(ignored)


def test_the_tokens_file_is_read_where_it_is_mounted(tmp_path: Path) -> None:
    """The gateway may listen to others only with tokens; the file is the kind `spanwatch token new` writes."""
    gateway = settings_of("gateway")
    assert gateway["SPANWATCH_GATEWAY__TOKENS_FILE"] == "/run/secrets/" + SERVICES["gateway"]["secrets"][0]
    file = tmp_path / "tokens.toml"
    made = auth.new_token("default", "collector")
    file.write_text(made.entry)
    tokens = auth.Tokens(file)
    auth.check_bind(gateway["SPANWATCH_GATEWAY__HOST"], tokens)
    identity = tokens.identify(f"Bearer {made.token}")
    assert identity is not None
    assert identity.emitter == "collector"


@pytest.mark.parametrize("path", COLLECTORS, ids=lambda p: p.stem)
def test_collector_pipelines_name_defined_components_and_leave_none_unused(path: Path) -> None:
    config = collector(path)
    assert set(config) == {"extensions", "receivers", "processors", "exporters", "service"}
    used: dict[str, set[str]] = {"receivers": set(), "processors": set(), "exporters": set()}
    for signal, pipeline in config["service"]["pipelines"].items():
        assert signal in ("traces", "logs", "metrics")
        assert pipeline["receivers"]
        assert pipeline["exporters"]
        for kind, names in pipeline.items():
            used[kind] |= set(names)
    for kind, names in used.items():
        assert names == set(config[kind]), kind
    assert set(config["service"]["extensions"]) == set(config["extensions"])
    authenticators = {e["auth"]["authenticator"] for e in config["exporters"].values() if "auth" in e}
    assert authenticators <= set(config["extensions"])


@pytest.mark.parametrize("path", COLLECTORS, ids=lambda p: p.stem)
def test_collectors_get_every_environment_name_and_port_they_use(path: Path) -> None:
    config = collector(path)
    (service,) = [
        s for s in SERVICES.values() if f"./collector/{path.name}:/etc/otelcol/config.yaml:ro" in s.get("volumes", [])
    ]
    assert service["command"] == ["--config=/etc/otelcol/config.yaml"]
    assert set(re.findall(r"\$\{env:(\w+)\}", path.read_text())) == set(service["environment"])
    inside = {port.rsplit(":", 1)[1] for port in service["ports"]}
    protocols = config["receivers"]["otlp"]["protocols"]
    assert inside == {protocols[p]["endpoint"].rsplit(":", 1)[1] for p in ("grpc", "http")}


def test_the_collector_reaches_the_gateway_within_its_limits() -> None:
    config = collector(DEPLOY / "collector/gateway.yaml")
    gateway = Settings().gateway
    assert SERVICES["collector"]["environment"]["GATEWAY_ENDPOINT"] == f"http://gateway:{gateway.port}"
    assert SERVICES["gateway"]["environment"]["SPANWATCH_GATEWAY__PORT"] == str(gateway.port)
    assert SERVICES["gateway"]["environment"]["SPANWATCH_GATEWAY__GRPC_PORT"] == str(gateway.grpc_port)
    exporter = config["exporters"]["otlp_http/spanwatch"]
    queue = exporter["sending_queue"]
    assert queue["sizer"] == "bytes"
    assert queue["batch"]["min_size"] <= queue["batch"]["max_size"] <= gateway.max_body_bytes // 4
    assert queue["batch"]["max_size"] <= queue["queue_size"]
    assert exporter["compression"] in ("gzip", "zstd")
    assert "storage" not in queue, "a queue on disk would hold raw text"


def test_the_collector_writes_what_the_workers_read() -> None:
    config = collector(DEPLOY / "collector/kafka.yaml")
    exporter, settings = config["exporters"]["kafka"], Settings().kafka
    assert exporter["traces"] == {"topic": settings.topic_otlp_spans, "encoding": "otlp_proto"}
    assert exporter["logs"] == {"topic": settings.topic_otlp_logs, "encoding": "otlp_proto"}
    queue, limit = exporter["sending_queue"], exporter["producer"]["max_message_bytes"]
    assert queue["sizer"] == "bytes"
    assert queue["batch"]["min_size"] <= queue["batch"]["max_size"] <= limit // 2
    largest = re.search(r"max\.message\.bytes=(\d+)", (DEPLOY / "kafka/topics.sh").read_text())
    assert largest is not None
    assert limit < int(largest[1])
    assert exporter["producer"]["allow_auto_topic_creation"] is False


def test_store_users() -> None:
    """Users, passwords and ports of the ClickHouse files are those the services use; Grafana's user cannot write."""
    users = ElementTree.parse(DEPLOY / "clickhouse/users.d/spanwatch.xml").getroot()
    found = {user.tag: user for user in users.find("users") or [] if user.get("remove") is None}
    assert set(found) == {"spanwatch", "spanwatch_migrate", "grafana"}
    environment = SERVICES["clickhouse"]["environment"]
    database = Settings().clickhouse.database
    for name, user in found.items():
        password = user.find("password")
        assert password is not None
        assert password.get("from_env") in environment
        assert not (password.text or "").strip()
        for grant in user.iter("query"):
            assert (grant.text or "").endswith(f" ON {database}.*")
        for service, names in (("worker", "spanwatch"), ("migrate", "spanwatch_migrate")):
            if name == names:
                assert SERVICES[service]["environment"]["SPANWATCH_CLICKHOUSE__USERNAME"] == name
                assert password.get("from_env") in SERVICES[service]["environment"]["SPANWATCH_CLICKHOUSE__PASSWORD"]
    assert [q.text for q in found["grafana"].iter("query")] == [f"GRANT SELECT ON {database}.*"]
    profile = users.find(f"profiles/{found['grafana'].findtext('profile')}")
    assert profile is not None
    assert profile.findtext("readonly") == "1"
    assert profile.find("constraints/max_execution_time/changeable_in_readonly") is not None
    config = ElementTree.parse(DEPLOY / "clickhouse/config.d/spanwatch.xml").getroot()
    assert config.findtext("http_port") == str(Settings().clickhouse.port)
    assert config.findtext("access_control_improvements/settings_constraints_replace_previous") == "true"


def test_grafana_gets_what_its_provisioning_names() -> None:
    source = (ROOT / "grafana/provisioning/datasources/spanwatch.yaml").read_text()
    alerting = "".join(p.read_text() for p in (ROOT / "grafana/provisioning/alerting").glob("*.yaml"))
    service = SERVICES["grafana"]
    for name in re.findall(r"\$\{?([A-Z]\w*)\}?", source + alerting):
        assert name in service["environment"], name
    loaded = yaml.safe_load(source)["datasources"][0]
    native = ElementTree.parse(DEPLOY / "clickhouse/config.d/spanwatch.xml").getroot().findtext("tcp_port")
    assert str(loaded["jsonData"]["port"]) == native
    assert loaded["jsonData"]["username"] == "grafana"
    assert service["environment"]["CLICKHOUSE_HOST"] == "clickhouse"
    boards = [v.split(":")[1] for v in service["volumes"] if v.startswith("../grafana/dashboards:")]
    provider = yaml.safe_load((ROOT / "grafana/provisioning/dashboards/spanwatch.yaml").read_text())["providers"][0]
    assert [provider["options"]["path"]] == boards
    home = Path(service["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert str(home.parent) == boards[0]
    assert (ROOT / "grafana/dashboards" / home.name).exists()


def test_the_image_is_built_from_paths_that_exist_and_does_not_run_as_root() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    context = DEPLOY / SERVICES["gateway"]["build"]["context"]
    assert (context / SERVICES["gateway"]["build"]["dockerfile"]).samefile(DEPLOY / "Dockerfile")
    allowed = {
        line.removeprefix("!")
        for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
        if line[:1] == "!"
    }
    copied = set()
    for line in re.findall(r"^COPY (?!--from)(.*)$", text, re.M):
        *sources, target = line.split()
        copied |= {source.rstrip("/") for source in sources}
        assert target in ("./", *sources)
    assert copied == allowed
    for source in copied:
        assert (context / source).exists(), source
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]["include"]
    assert {p.rstrip("*") for p in packages} <= copied
    stages = text.split("\nFROM ")
    assert len(stages) == 3
    user = re.findall(r"^USER (\d+):(\d+)$", stages[-1], re.M)
    assert user == [("10001", "10001")]
    exposed = re.search(r"^EXPOSE (.*)$", text, re.M)
    assert exposed is not None
    gateway = Settings().gateway
    assert exposed[1].split() == [str(gateway.grpc_port), str(gateway.port)]
    for name in re.findall(r"\b(SPANWATCH_\w+)=", text):
        assert name.removeprefix("SPANWATCH_").lower() in Settings.model_fields
    data = re.search(r"SPANWATCH_DATA_DIR=(\S+)", text)
    assert data is not None
    for service in OURS:
        assert SERVICES[service]["read_only"] is True
        assert any(mount.startswith(data[1] + ":uid=10001") for mount in SERVICES[service]["tmpfs"])


def test_settings_are_sections_of_plain_values() -> None:
    """Two underscores in a name mean a section: this holds for the settings the files name."""
    for service in OURS:
        for name in settings_of(service):
            section, _, field = name.removeprefix("SPANWATCH_").lower().partition("__")
            value = getattr(Settings(), section)
            assert (field == "") == (not isinstance(value, BaseModel)), name

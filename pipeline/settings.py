"""Settings, built once by the command line: environment over TOML file over defaults; unknown names refused."""

from __future__ import annotations

import difflib
import json
import os
import re
import secrets
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings import (
    SettingsError as SettingsSourceError,
)

from pipeline.errors import SettingsError

PREFIX = "SPANWATCH_"
TEST_PREFIX = PREFIX + "TEST_"  # names of the test set-up, no settings
CONFIG_FILE = PREFIX + "CONFIG"  # names the TOML file; not itself a setting


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Rules(_Section):
    """What is detected: our rules, further folders, and what this deployment changes."""

    folders: Annotated[tuple[Path, ...], NoDecode] = Field((), description="in the environment like PATH, `:` between")
    overrides: Path | None = Field(None, description="YAML file: what this deployment changes about rules")
    builtin: bool = Field(True, description="the rules that come with spanwatch")
    watch_seconds: float = Field(5, ge=0, description="between looks for changed files; 0 is on SIGHUP only")

    @field_validator("folders", mode="before")
    @classmethod
    def _one_variable(cls, value: Any) -> Any:
        """One variable holds them all: like PATH, or as a JSON list."""
        if not isinstance(value, str):
            return value
        return json.loads(value) if value.startswith("[") else tuple(part for part in value.split(os.pathsep) if part)


class Gateway(_Section):
    """Receiving OTLP. Without `tokens_file` the gateway listens on loopback only."""

    host: str = Field("127.0.0.1", description="address of both ports; another than loopback needs tokens")
    port: int = Field(4318, ge=0, le=65535, description="OTLP/HTTP, health and metrics; 0 takes a free port")
    grpc_port: int = Field(4317, ge=-1, le=65535, description="-1 turns OTLP/gRPC off, 0 takes a free port")
    tokens_file: Path | None = Field(None, description="TOML file of bearer tokens, see `spanwatch token new`")
    max_body_bytes: int = Field(
        20 * 2**20, gt=0, description="after decompression; a body is worked on in one go, so this bounds a stall"
    )
    max_ratio: int = Field(250, gt=0, description="decompressed bytes per compressed byte")
    max_depth: int = Field(32, gt=0, description="nesting of AnyValue and JSON")
    max_attributes: int = Field(1024, gt=0, description="per span, event or resource")
    max_value_bytes: int = Field(2**20, gt=0, description="per attribute value; longer is cut after masking")
    requests_per_second: float = Field(0, ge=0, description="per emitter; 0 is no limit")
    retry_after_seconds: int = Field(2, gt=0, description="what 429 and 503 tell an exporter to wait")


class Log(_Section):
    """The embedded driver's durable log."""

    max_bytes: int = Field(2 * 2**30, gt=0, description="unprocessed payload; past it the gateway answers 429")
    sync: Literal["full", "normal"] = Field("normal", description="full survives the loss of power too, and is slower")


class ClickHouse(_Section):
    """The store: chDB in this process, or a server; one schema for both and for a cluster."""

    interface: Literal["chdb", "http", "https"] = Field("chdb", description="chdb is in this process, in `data_dir`")
    host: str = Field("127.0.0.1", description="of the server")
    port: int = Field(8123, gt=0, le=65535, description="of the server's HTTP interface")
    username: str = Field("default", description="of the server; needs to create tables and insert")
    password: SecretStr = Field(SecretStr(""), description="of the server")
    database: str = Field("spanwatch", pattern=r"^[a-z_][a-z0-9_]*$", description="made by `spanwatch migrate`")
    cluster: str = Field("", pattern=r"^[A-Za-z0-9_-]*$", description="set: ON CLUSTER, Replicated, Distributed")
    retention_days: int = Field(90, gt=0, description="spans, windows, sightings")
    alert_retention_days: int = Field(400, gt=0, description="findings, alerts, incidents, dead letters")


class Kafka(_Section):
    """The broker of the live driver; security settings pass through to aiokafka."""

    bootstrap: str = Field("127.0.0.1:9092", description="host:port of brokers, commas between")
    group: str = Field("spanwatch", description="consumer group of the workers")
    partitions: int = Field(12, gt=0, description="of our topics; fixed once they exist")
    replication_factor: int = Field(1, gt=0, description="of topics we make")
    topic_spans: str = Field("spans", description="masked spans, by session")
    topic_activity: str = Field("activity", description="windows and sightings, by agent or entity")
    topic_dead_letters: str = Field("dead_letters", description="what could not become spans, with its reason")
    topic_alerts: str = Field("alerts", description="alerts as OCSF Detection Findings")
    topic_otlp_spans: str = Field("otlp_spans", description="what a Collector's Kafka exporter writes")
    topic_otlp_logs: str = Field("otlp_logs", description="what a Collector's Kafka exporter writes")
    session_timeout_seconds: float = Field(10, gt=0, description="silence after which a worker's partitions move")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="how to speak to the brokers"
    )
    ssl_cafile: Path | None = Field(None, description="authorities to trust; default: the system's")
    ssl_certfile: Path | None = Field(None, description="our certificate, for mutual TLS")
    ssl_keyfile: Path | None = Field(None, description="its key")
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] | None = Field(
        None, description="needed with a SASL protocol"
    )
    sasl_username: str = Field("", description="of the mechanism")
    sasl_password: SecretStr = Field(SecretStr(""), description="of the mechanism")


class Worker(_Section):
    """How much one step of the worker takes, and how often it remembers."""

    batch_spans: int = Field(8192, gt=0, description="spans handled and stored together when there are as many")
    batch_seconds: float = Field(0.2, gt=0, description="longest wait for them")
    checkpoint_seconds: float = Field(5, gt=0, description="between checkpoints; large state is saved less often")
    max_sessions: int = Field(25_000, gt=0, description="remembered per partition, about 20 kB each; oldest go first")
    session_idle_seconds: float = Field(3600, gt=0, description="idle state is dropped after this time")
    metrics_port: int = Field(-1, ge=-1, le=65535, description="`/metrics` of `spanwatch worker`; -1 is off")
    metrics_host: str = Field("127.0.0.1", description="address of that port; it asks for no token")


class Settings(BaseSettings):
    """Everything one deployment chooses. `cli.py` builds one and hands each part its own piece."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        frozen=True,
        extra="forbid",
        nested_model_default_partial_update=True,
    )

    data_dir: Path = Field(
        default_factory=lambda: platformdirs.user_state_path("spanwatch"),
        description="key, log and embedded store; readable for its owner only",
    )
    cache_dir: Path = Field(
        default_factory=lambda: platformdirs.user_cache_path("spanwatch"),
        description="compiled rules; may be lost at any time",
    )
    key: SecretStr | None = Field(None, description="fingerprints and checkpoints; default: a file in data_dir")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least level that is logged")
    log_format: Literal["console", "json"] = Field("console", description="console is for people, json for a shipper")
    rules: Rules = Rules()
    gateway: Gateway = Gateway()
    log: Log = Log()
    clickhouse: ClickHouse = ClickHouse()
    kafka: Kafka = Kafka()
    worker: Worker = Worker()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    def make_data_dir(self) -> None:
        """Make `data_dir`, readable for its owner only. Raises SettingsError when it cannot be made or written."""
        try:
            self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            reason = "not a folder" if isinstance(error, FileExistsError) else error.strerror
            raise SettingsError(f"data_dir {self.data_dir}: {reason}") from None
        if not os.access(self.data_dir, os.W_OK | os.X_OK):
            raise SettingsError(f"data_dir {self.data_dir}: not writable")

    def deployment_key(self) -> bytes:
        """The key of fingerprints and checkpoints; made once and kept in `data_dir/key` when none is set.

        Raises SettingsError when the file can neither be read nor made.
        """
        if self.key is not None:
            return self.key.get_secret_value().encode()
        path = self.data_dir / "key"
        try:
            self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                return path.read_bytes()
            with os.fdopen(handle, "wb") as file:
                file.write(secrets.token_hex(32).encode())
            return path.read_bytes()
        except OSError as error:
            raise SettingsError(f"{path}: {error.strerror}") from None


def load(file: Path | None = None) -> Settings:
    """Settings from the environment over a TOML file (`file`, else SPANWATCH_CONFIG) over defaults.

    Raises SettingsError naming each setting that is unknown or wrong, never its value.
    """
    named = os.environ.get(CONFIG_FILE)
    path = file or (Path(named) if named else None)
    # The library refuses unknown nested names but takes a mistyped top-level one in silence.
    known = {PREFIX + name.upper() for name in Settings.model_fields} | {CONFIG_FILE}
    unknown = sorted(
        name
        for name in os.environ
        if name.startswith(PREFIX) and not name.startswith(TEST_PREFIX) and name.split("__", 1)[0] not in known
    )
    if unknown:
        spelled = [PREFIX + name.upper().replace(".", "__") for name in names()]
        raise SettingsError("\n".join(_unknown(name, spelled) for name in unknown))

    class FromFile(Settings):
        model_config = SettingsConfigDict(toml_file=path)

    try:
        if path is not None:
            path.read_bytes()
        return FromFile()
    except ValidationError as error:
        raise SettingsError("\n".join(_fault(one) for one in error.errors(include_input=False))) from None
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from None
    except tomllib.TOMLDecodeError as error:  # only the place: the rest of its message can quote the file
        place = re.search(r" \((at [^()]+)\)$", str(error))
        raise SettingsError(f"{path}: not TOML{', ' + place[1] if place else ''}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path}: not TOML, not even text") from None
    except SettingsSourceError as error:
        section = re.search(r'field "(\w+)"', str(error))
        name = PREFIX + (section[1].upper() if section else "")
        raise SettingsError(f"{name}: is a section; set its parts one by one, as {name}__...") from None


def names(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[str]:
    """Every setting by the name it has in a file, `gateway.port`."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from names(field.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name


def _fault(error: Any) -> str:
    """One line about a setting that was refused, without its value."""
    name = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        return _unknown(name, list(names()))
    return f"{name}: {error['msg'].replace('Input should', 'should')}"


def _unknown(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
    return f"unknown setting: {name}" + (f"; did you mean {close[0]}?" if close else "")

"""Every setting, read from `LOWBIT_*` environment variables. `docs/settings.md` lists them; a test compares the two."""

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

GIBIBYTE = 1024**3
QUERY_SECONDS = 4.0
SandboxSetting = Literal["auto", "bubblewrap", "namespaces", "landlock", "off"]


class Settings(BaseSettings):
    """What one process of the service knows about its surroundings."""

    model_config = SettingsConfigDict(env_prefix="LOWBIT_", extra="ignore")

    # Where state lives. `lowbit serve` fills in what is not given with its embedded servers.
    data_dir: Path | None = Field(default=None, description="Where `lowbit serve` keeps everything.")
    database_url: SecretStr | None = Field(
        default=None, description="Postgres, as a role that is neither owner nor superuser."
    )
    database_owner_url: SecretStr | None = Field(
        default=None, description="Postgres, as the role that owns the schema; used by migrations only."
    )
    broker_url: SecretStr | None = Field(default=None, description="Redis or Valkey: redis:// or redis+socket://.")
    storage_url: str | None = Field(
        default=None, description="file:///directory or s3://bucket/prefix?endpoint_url=..&region=.."
    )
    s3_access_key_id: str | None = Field(default=None, description="Else the AWS tools' own configuration is used.")
    s3_secret_access_key: SecretStr | None = Field(default=None, description="See LOWBIT_S3_ACCESS_KEY_ID.")
    scratch_dir: Path | None = Field(default=None, description="Room for uploads in flight and running jobs.")
    server_user: str | None = Field(
        default=None, description="When started as root: the user that the embedded servers run as."
    )

    # How the API is reached.
    host: str = Field(default="127.0.0.1", description="Address to bind. Beyond loopback more settings are required.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port to bind; 0 picks a free one.")
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Host names, separated by commas, that the service answers for besides loopback."
    )
    tls_cert: Path | None = Field(default=None, description="Certificate chain (PEM).")
    tls_key: Path | None = Field(default=None, description="Private key (PEM).")
    behind_proxy: bool = Field(default=False, description="A proxy in front ends TLS and sets X-Forwarded-*.")
    admin_key: SecretStr | None = Field(default=None, description="The first admin key, in place of a generated one.")

    # Limits.
    max_upload_bytes: int = Field(default=GIBIBYTE, ge=1, description="Largest file accepted in one request.")
    max_resumable_upload_bytes: int = Field(default=64 * GIBIBYTE, ge=1, description="Largest file accepted in parts.")
    max_unpacked_bytes: int = Field(default=64 * GIBIBYTE, ge=1, description="Largest data set once unpacked.")
    max_streams_per_key: int = Field(default=2000, ge=1, description="Streams of events that one key may have open.")
    max_job_events: int = Field(default=10_000, ge=100, description="Events of one job after which its log is cut off.")
    max_body_bytes: int = Field(default=1024**2, ge=1024, description="Largest JSON body.")
    auth_failures_per_minute: int = Field(default=60, ge=0, description="Wrong keys from one address; 0: unlimited.")
    rate_limit_per_minute: int = Field(default=6000, ge=0, description="Requests of one key; 0: unlimited.")

    # What is opened.
    allow_torch_export: bool = Field(
        default=False, description="Accept programs of torch.export (.pt2), which are opened in the sandbox only."
    )

    # Resumable uploads and garbage. Durations in seconds.
    upload_expiry_seconds: float = Field(
        default=7 * 24 * 3600.0, ge=1, description="An upload that is not complete after so long is given up."
    )
    upload_idle_seconds: float = Field(
        default=30.0, gt=0.05, description="A part of which nothing arrives for so long is ended."
    )
    garbage_seconds: float = Field(default=3600.0, gt=0.05, description="How often garbage is collected.")
    garbage_grace_seconds: float = Field(
        default=24 * 3600.0, ge=0, description="Objects that nothing refers to are kept for so long."
    )
    step_retention_seconds: float = Field(
        default=7 * 24 * 3600.0, ge=0, description="Results of job steps are kept for so long after their last use."
    )

    # What a tenant may have, unless it has limits of its own.
    quota_stored_bytes: int | None = Field(default=None, ge=0, description="Bytes stored; default: unlimited.")
    quota_queued_jobs: int | None = Field(default=1000, ge=0, description="Jobs that wait at once.")
    quota_running_jobs: int | None = Field(default=None, ge=1, description="Jobs that run at once; default: unlimited.")
    quota_open_uploads: int | None = Field(default=100, ge=0, description="Resumable uploads under way at once.")

    # Workers.
    cpu_workers: int = Field(default=1, ge=0, le=256, description="Quantize jobs that run at once on the CPU.")
    gpu_workers: int = Field(default=0, ge=0, le=256, description="Quantize jobs that run at once, each on its GPU.")
    sandbox: SandboxSetting = Field(
        default="auto", description="What stands around the processes that open uploads; auto: the best that holds."
    )
    job_threads: int | None = Field(
        default=None, ge=1, description="Threads of one job; default: the cores it may use."
    )
    job_memory_bytes: int | None = Field(
        default=None, ge=GIBIBYTE // 2, description="Address space of one job's process; default: unlimited."
    )
    job_rss_bytes: int | None = Field(
        default=None, ge=1024**2, description="Memory that one job's processes may use together; default: unlimited."
    )
    job_scratch_bytes: int | None = Field(
        default=None, ge=1024**2, description="Scratch disk that one job may use; default: unlimited."
    )
    job_deadline_seconds: float | None = Field(
        default=24 * 3600.0, gt=0, description="Longest time of one attempt, unless the job names its own."
    )
    stall_seconds: float = Field(
        default=1.0, gt=0, description="Factor on the times after which a silent stage counts as stalled."
    )

    # The job engine. Durations in seconds.
    lease_seconds: float = Field(default=60.0, gt=0.5, description="A worker silent for so long has lost its job.")
    reap_seconds: float = Field(default=10.0, gt=0.05, description="How often lost jobs are looked for.")
    dispatch_seconds: float = Field(default=1.0, gt=0.05, description="How often waiting jobs are announced again.")
    max_attempts: int = Field(default=3, ge=1, le=10, description="Crashes, or losses, before a job is given up.")
    postpone_seconds: float = Field(
        default=6 * 3600.0, ge=0, description="A job whose store is away waits for so long in all, then fails."
    )
    query_seconds: float = Field(default=QUERY_SECONDS, ge=0.5, description="A query that takes longer is given up.")

    # Webhooks.
    webhooks_enabled: bool = Field(default=False, description="Users may have events sent to servers of theirs.")
    webhook_allow_private: bool = Field(
        default=False, description="Send webhooks to private addresses too. Lets every user reach into this network."
    )
    webhook_ca_file: Path | None = Field(
        default=None, description="Certificates (PEM) to trust besides the usual ones when sending webhooks."
    )

    metrics_public: bool = Field(default=False, description="Serve /metrics without a key.")
    log_format: Literal["json", "console"] = Field(default="json", description="One JSON object a line, or text.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Least level logged.")

    @field_validator("allowed_hosts", mode="before")
    @classmethod
    def _split_hosts(cls, value: object) -> object:
        return tuple(h.strip() for h in value.split(",") if h.strip()) if isinstance(value, str) else value

    def require_database_url(self) -> str:
        return _with_driver(_required(self.database_url, "LOWBIT_DATABASE_URL"))

    def require_database_owner_url(self) -> str:
        return _with_driver(_required(self.database_owner_url or self.database_url, "LOWBIT_DATABASE_OWNER_URL"))

    def require_broker_url(self) -> str:
        return _required(self.broker_url, "LOWBIT_BROKER_URL")

    def require_storage_url(self) -> str:
        if self.storage_url is None:
            raise SettingMissing("LOWBIT_STORAGE_URL")
        return self.storage_url

    def require_scratch_dir(self) -> Path:
        if self.scratch_dir is None:
            raise SettingMissing("LOWBIT_SCRATCH_DIR")
        return self.scratch_dir


class SettingMissing(RuntimeError):
    """A process was started without a setting that it cannot do without."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is not set. `lowbit serve` sets it; a process started by itself needs it.")
        self.name = name


def _required(secret: SecretStr | None, name: str) -> str:
    if secret is None:
        raise SettingMissing(name)
    return secret.get_secret_value()


def _with_driver(url: str) -> str:
    """Name the driver: SQLAlchemy would take psycopg2 for a bare `postgresql://`."""
    for scheme in ("postgresql://", "postgres://"):
        if url.startswith(scheme):
            return "postgresql+psycopg://" + url.removeprefix(scheme)
    return url


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process, read once."""
    return Settings()

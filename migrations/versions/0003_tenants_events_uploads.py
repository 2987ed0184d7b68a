"""Tenants that cannot see each other, durable events, resumable uploads, shared steps, webhooks, and the audit log."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TENANT_OWNED = (
    "api_keys",
    "files",
    "datasets",
    "models",
    "jobs",
    "variants",
    "artifacts",
    "job_events",
    "job_steps",
    "uploads",
    "idempotency_keys",
    "webhooks",
    "webhook_deliveries",
    "audit_log",
)

COLUMNS = """
ALTER TABLE tenants
    ADD COLUMN weight DOUBLE PRECISION DEFAULT 1.0 NOT NULL,
    ADD COLUMN max_stored_bytes BIGINT,
    ADD COLUMN max_queued_jobs INTEGER,
    ADD COLUMN max_running_jobs INTEGER,
    ADD COLUMN max_open_uploads INTEGER,
    ADD COLUMN max_requests_per_minute INTEGER,
    ADD COLUMN disabled_at timestamptz,
    ADD CONSTRAINT ck_tenants_weight CHECK (weight > 0);

ALTER TABLE api_keys
    ADD COLUMN scopes JSONB DEFAULT '[]' NOT NULL,
    ADD COLUMN last_used_at timestamptz,
    ADD COLUMN created_by text;

-- keys of before could do everything
UPDATE api_keys SET scopes = '["*"]';

CREATE INDEX ix_api_keys_tenant_id ON api_keys (tenant_id);

CREATE INDEX ix_files_tenant_sha256 ON files (tenant_id, sha256);

CREATE INDEX ix_artifacts_tenant_sha256 ON artifacts (tenant_id, sha256);

ALTER TABLE jobs
    ADD COLUMN upload_id text,
    ADD COLUMN crashes INTEGER DEFAULT 0 NOT NULL,
    ADD COLUMN losses INTEGER DEFAULT 0 NOT NULL,
    ADD COLUMN postponements INTEGER DEFAULT 0 NOT NULL,
    ADD COLUMN requeues INTEGER DEFAULT 0 NOT NULL,
    ADD COLUMN deadline_seconds DOUBLE PRECISION,
    ADD COLUMN reused JSONB DEFAULT '[]' NOT NULL,
    ADD COLUMN last_event BIGINT DEFAULT 1 NOT NULL,
    ADD COLUMN request_id text,
    ADD COLUMN traceparent text;

DROP INDEX ix_jobs_waiting;

CREATE INDEX ix_jobs_waiting ON jobs (queue, tenant_id, priority DESC, id) WHERE status = 'queued';

CREATE INDEX ix_jobs_turn ON jobs (tenant_id, queue, started_at);

DROP INDEX ix_jobs_leased;

CREATE INDEX ix_jobs_leased ON jobs (lease_expires_at, tenant_id) WHERE status IN ('running', 'cancelling');

CREATE INDEX ix_jobs_finished_at ON jobs (finished_at);
"""

TABLES = """
CREATE TABLE uploads (
    id text NOT NULL,
    tenant_id text NOT NULL,
    filename text NOT NULL,
    purpose text NOT NULL,
    bytes BIGINT NOT NULL,
    sha256 text,
    part_bytes BIGINT NOT NULL,
    staging_handle text NOT NULL,
    status text NOT NULL,
    parts JSONB,
    problem JSONB,
    file_id text,
    expires_at timestamptz NOT NULL,
    created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_uploads PRIMARY KEY (id),
    CONSTRAINT ck_uploads_status CHECK (
        status IN ('pending', 'verifying', 'completed', 'failed', 'aborted', 'expired')
    ),
    CONSTRAINT uq_uploads_tenant_id_id UNIQUE (tenant_id, id),
    CONSTRAINT fk_uploads_tenant_id_file_id_files FOREIGN KEY (tenant_id, file_id)
        REFERENCES files (tenant_id, id) ON DELETE SET NULL (file_id),
    CONSTRAINT fk_uploads_tenant_id_tenants FOREIGN KEY (tenant_id) REFERENCES tenants (id)
);

CREATE INDEX ix_uploads_open ON uploads (expires_at) WHERE status IN ('pending', 'verifying');

CREATE INDEX ix_uploads_tenant ON uploads (tenant_id, id);

ALTER TABLE jobs
    ADD CONSTRAINT fk_jobs_tenant_id_upload_id_uploads FOREIGN KEY (tenant_id, upload_id)
        REFERENCES uploads (tenant_id, id) ON DELETE CASCADE;

CREATE INDEX ix_jobs_upload_id ON jobs (upload_id);

CREATE TABLE job_events (
    job_id text NOT NULL,
    seq BIGINT NOT NULL,
    tenant_id text NOT NULL,
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    type text NOT NULL,
    data JSONB NOT NULL,
    created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_job_events PRIMARY KEY (job_id, seq),
    CONSTRAINT fk_job_events_tenant_id_job_id_jobs
        FOREIGN KEY (tenant_id, job_id) REFERENCES jobs (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT fk_job_events_tenant_id_tenants FOREIGN KEY (tenant_id) REFERENCES tenants (id)
);

CREATE INDEX ix_job_events_tenant ON job_events (tenant_id, xid, job_id, seq);

CREATE TABLE job_steps (
    tenant_id text NOT NULL,
    key text NOT NULL,
    name text NOT NULL,
    sha256 text NOT NULL,
    bytes BIGINT NOT NULL,
    job_id text NOT NULL,
    created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    last_used_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_job_steps PRIMARY KEY (tenant_id, key),
    CONSTRAINT fk_job_steps_tenant_id_tenants FOREIGN KEY (tenant_id) REFERENCES tenants (id)
);

CREATE INDEX ix_job_steps_tenant_sha256 ON job_steps (tenant_id, sha256);

CREATE TABLE idempotency_keys (
    tenant_id text NOT NULL,
    operation text NOT NULL,
    key text NOT NULL,
    request_sha256 BYTEA NOT NULL,
    status_code INTEGER NOT NULL,
    headers JSONB NOT NULL,
    body JSONB NOT NULL,
    created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_idempotency_keys PRIMARY KEY (tenant_id, operation, key),
    CONSTRAINT fk_idempotency_keys_tenant_id_tenants FOREIGN KEY (tenant_id) REFERENCES tenants (id)
);

CREATE INDEX ix_idempotency_keys_created_at ON idempotency_keys (created_at);

CREATE TABLE webhooks (
    id text NOT NULL,
    tenant_id text NOT NULL,
    url text NOT NULL,
    secret BYTEA NOT NULL,
    event_types JSONB NOT NULL,
    failing_since timestamptz,
    disabled_at timestamptz,
    created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_webhooks PRIMARY KEY (id),
    CONSTRAINT uq_webhooks_tenant_id_id UNIQUE (tenant_id, id),
    CONSTRAINT fk_webhooks_tenant_id_tenants FOREIGN KEY (tenant_id) REFERENCES tenants (id)
);

CREATE INDEX ix_webhooks_tenant ON webhooks (tenant_id, id);

CREATE TABLE webhook_deliveries (
    id text NOT NULL,
    tenant_id text NOT NULL,
    webhook_id text NOT NULL,
    job_id text,
    event_type text NOT NULL,
    status text DEFAULT 'waiting' NOT NULL,
    attempts INTEGER DEFAULT 0 NOT NULL,
    next_attempt_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    response_status INTEGER,
    failure text,
    delivered_at timestamptz,
    created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_webhook_deliveries PRIMARY KEY (id),
    CONSTRAINT ck_webhook_deliveries_status CHECK (status IN ('waiting', 'delivered', 'given_up')),
    CONSTRAINT fk_webhook_deliveries_tenant_id_webhook_id_webhooks
        FOREIGN KEY (tenant_id, webhook_id) REFERENCES webhooks (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT fk_webhook_deliveries_tenant_id_job_id_jobs
        FOREIGN KEY (tenant_id, job_id) REFERENCES jobs (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT fk_webhook_deliveries_tenant_id_tenants FOREIGN KEY (tenant_id) REFERENCES tenants (id)
);

CREATE INDEX ix_webhook_deliveries_due ON webhook_deliveries (next_attempt_at) WHERE status = 'waiting';

CREATE INDEX ix_webhook_deliveries_webhook ON webhook_deliveries (webhook_id, id);

CREATE INDEX ix_webhook_deliveries_job_id ON webhook_deliveries (job_id);

CREATE TABLE audit_log (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    tenant_id text NOT NULL,
    key_id text,
    action text NOT NULL,
    subject text,
    request_id text,
    detail JSONB NOT NULL,
    created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_audit_log PRIMARY KEY (id),
    CONSTRAINT fk_audit_log_tenant_id_tenants FOREIGN KEY (tenant_id) REFERENCES tenants (id)
);

CREATE INDEX ix_audit_log_tenant ON audit_log (tenant_id, id);

CREATE TABLE workers (
    id text NOT NULL,
    hostname text NOT NULL,
    pid INTEGER NOT NULL,
    queues JSONB NOT NULL,
    slots INTEGER NOT NULL,
    version text NOT NULL,
    started_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    seen_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_workers PRIMARY KEY (id)
);
"""

# Every change of a job leaves its event and tells whoever listens, whichever statement made the change: an event that
# a code path could forget would be a hole in the stream that no client can see. It is the same transaction, so there
# is no event without its change and no change without its event.
EVENTS = """
-- a prefix and a UUIDv7, as `app.ids` makes them: 48 bits of milliseconds, the version, 76 bits of which 74 are chance
CREATE FUNCTION lowbit_time_ordered_id(prefix text) RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT prefix || '_' || lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0')
        || '7' || substr(replace(gen_random_uuid()::text, '-', ''), 14)
$$;

CREATE FUNCTION lowbit_number_job_events() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    warned integer;
BEGIN
    IF NEW.status IS DISTINCT FROM OLD.status THEN
        NEW.last_event := NEW.last_event + 1;
        INSERT INTO job_events (job_id, seq, tenant_id, type, data) VALUES (
            NEW.id, NEW.last_event, NEW.tenant_id, 'status',
            jsonb_strip_nulls(jsonb_build_object(
                'status', NEW.status, 'attempt', NEW.attempt, 'error', NEW.error
            ))
        );
        IF NEW.status IN ('succeeded', 'failed', 'cancelled') THEN
            INSERT INTO webhook_deliveries (id, tenant_id, webhook_id, job_id, event_type)
            SELECT lowbit_time_ordered_id('whd'), NEW.tenant_id, id, NEW.id, 'job.' || NEW.status
            FROM webhooks
            WHERE NEW.kind = 'quantize' AND tenant_id = NEW.tenant_id AND disabled_at IS NULL
                AND event_types ? ('job.' || NEW.status);
        END IF;
    END IF;
    IF NEW.stage IS NOT NULL AND NEW.stage IS DISTINCT FROM OLD.stage THEN
        NEW.last_event := NEW.last_event + 1;
        INSERT INTO job_events (job_id, seq, tenant_id, type, data)
        VALUES (NEW.id, NEW.last_event, NEW.tenant_id, 'stage',
            jsonb_build_object('stage', NEW.stage, 'attempt', NEW.attempt));
    END IF;
    FOR warned IN jsonb_array_length(OLD.warnings) .. jsonb_array_length(NEW.warnings) - 1 LOOP
        NEW.last_event := NEW.last_event + 1;
        INSERT INTO job_events (job_id, seq, tenant_id, type, data)
        VALUES (NEW.id, NEW.last_event, NEW.tenant_id, 'warning', NEW.warnings -> warned);
    END LOOP;
    -- the last one, so that a client that has it has everything
    IF NEW.status IS DISTINCT FROM OLD.status AND NEW.status IN ('succeeded', 'failed', 'cancelled') THEN
        NEW.last_event := NEW.last_event + 1;
        INSERT INTO job_events (job_id, seq, tenant_id, type, data)
        VALUES (NEW.id, NEW.last_event, NEW.tenant_id, 'done', jsonb_build_object('status', NEW.status));
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION lowbit_tell_of_job() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO job_events (job_id, seq, tenant_id, type, data)
        VALUES (NEW.id, 1, NEW.tenant_id, 'status', jsonb_build_object('status', NEW.status, 'attempt', NEW.attempt));
    ELSIF NEW.version = OLD.version AND NEW.last_event = OLD.last_event THEN
        RETURN NULL;  -- a heartbeat: nothing that a client could see
    END IF;
    PERFORM pg_notify('lowbit_jobs', concat_ws(' ', NEW.id, NEW.tenant_id, NEW.version, NEW.last_event, NEW.status,
        CASE WHEN NEW.kind <> 'quantize' THEN coalesce(NEW.model_id, NEW.calibration_dataset_id, NEW.upload_id) END));
    RETURN NULL;
END $$;

CREATE TRIGGER number_job_events BEFORE UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION lowbit_number_job_events();

CREATE TRIGGER tell_of_job AFTER INSERT OR UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION lowbit_tell_of_job();
"""

# Without a tenant a session sees nothing. `*` is what the engine sets to look across tenants: see `app.tenancy`.
POLICY = """
ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
ALTER TABLE {table} FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON {table} USING (
    {column} = (SELECT current_setting('app.tenant_id', true))
    OR (SELECT current_setting('app.tenant_id', true)) = '*'
);
"""


def upgrade() -> None:
    op.execute(COLUMNS)
    op.execute(TABLES)
    op.execute(EVENTS)
    for table in TENANT_OWNED:
        op.execute(POLICY.format(table=table, column="tenant_id"))
    op.execute(POLICY.format(table="tenants", column="id"))


def downgrade() -> None:
    for table in (*TENANT_OWNED, "tenants"):
        op.execute(f"DROP POLICY tenant ON {table}")
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
    op.execute("DROP TRIGGER tell_of_job ON jobs")
    op.execute("DROP TRIGGER number_job_events ON jobs")
    op.execute("DROP FUNCTION lowbit_tell_of_job, lowbit_number_job_events, lowbit_time_ordered_id")
    op.execute("ALTER TABLE jobs DROP CONSTRAINT fk_jobs_tenant_id_upload_id_uploads")
    op.execute(
        "DROP TABLE job_events, job_steps, uploads, idempotency_keys, webhook_deliveries, webhooks, audit_log, workers"
    )
    op.execute("DROP INDEX ix_jobs_leased, ix_jobs_finished_at")
    op.execute("CREATE INDEX ix_jobs_leased ON jobs (lease_expires_at) WHERE status IN ('running', 'cancelling')")
    op.execute(
        "ALTER TABLE jobs DROP COLUMN upload_id, DROP COLUMN crashes, DROP COLUMN losses, DROP COLUMN postponements, "
        "DROP COLUMN requeues, DROP COLUMN deadline_seconds, DROP COLUMN reused, DROP COLUMN last_event, "
        "DROP COLUMN request_id, DROP COLUMN traceparent"
    )
    op.execute("DROP INDEX ix_files_tenant_sha256, ix_artifacts_tenant_sha256, ix_api_keys_tenant_id")
    op.execute("ALTER TABLE api_keys DROP COLUMN scopes, DROP COLUMN last_used_at, DROP COLUMN created_by")
    op.execute(
        "ALTER TABLE tenants DROP COLUMN weight, DROP COLUMN max_stored_bytes, DROP COLUMN max_queued_jobs, "
        "DROP COLUMN max_running_jobs, DROP COLUMN max_open_uploads, DROP COLUMN max_requests_per_minute, "
        "DROP COLUMN disabled_at"
    )

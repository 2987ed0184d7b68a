"""The first schema."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SCHEMA = """
CREATE TABLE tenants (
    id text NOT NULL,
    name text NOT NULL,
    created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_tenants PRIMARY KEY (id),
    CONSTRAINT uq_tenants_name UNIQUE (name)
);

CREATE TABLE api_keys (
    id text NOT NULL,
    tenant_id text NOT NULL,
    name text NOT NULL,
    secret_sha256 BYTEA NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz,
    created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_api_keys PRIMARY KEY (id),
    CONSTRAINT fk_api_keys_tenant_id_tenants FOREIGN KEY (tenant_id) REFERENCES tenants (id)
);

CREATE TABLE files (
    id text NOT NULL,
    tenant_id text NOT NULL,
    filename text NOT NULL,
    purpose text NOT NULL,
    format text NOT NULL,
    bytes BIGINT NOT NULL,
    sha256 text NOT NULL,
    created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_files PRIMARY KEY (id),
    CONSTRAINT uq_files_tenant_id_id UNIQUE (tenant_id, id),
    CONSTRAINT fk_files_tenant_id_tenants FOREIGN KEY (tenant_id) REFERENCES tenants (id)
);

CREATE TABLE datasets (
    id text NOT NULL,
    tenant_id text NOT NULL,
    name text NOT NULL,
    file_id text NOT NULL,
    format text NOT NULL,
    status text NOT NULL,
    inspection JSONB,
    problem JSONB,
    warnings JSONB NOT NULL,
    created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_datasets PRIMARY KEY (id),
    CONSTRAINT fk_datasets_tenant_id_file_id_files FOREIGN KEY (tenant_id, file_id) REFERENCES files (tenant_id, id),
    CONSTRAINT uq_datasets_tenant_id_id UNIQUE (tenant_id, id),
    CONSTRAINT fk_datasets_tenant_id_tenants FOREIGN KEY (tenant_id) REFERENCES tenants (id)
);

CREATE INDEX ix_datasets_file_id ON datasets (file_id);

CREATE TABLE models (
    id text NOT NULL,
    tenant_id text NOT NULL,
    name text NOT NULL,
    file_id text NOT NULL,
    format text NOT NULL,
    status text NOT NULL,
    inspection JSONB,
    problem JSONB,
    warnings JSONB NOT NULL,
    created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_models PRIMARY KEY (id),
    CONSTRAINT fk_models_tenant_id_file_id_files FOREIGN KEY (tenant_id, file_id) REFERENCES files (tenant_id, id),
    CONSTRAINT uq_models_tenant_id_id UNIQUE (tenant_id, id),
    CONSTRAINT fk_models_tenant_id_tenants FOREIGN KEY (tenant_id) REFERENCES tenants (id)
);

CREATE INDEX ix_models_file_id ON models (file_id);

CREATE TABLE jobs (
    id text NOT NULL,
    tenant_id text NOT NULL,
    kind text NOT NULL,
    queue text NOT NULL,
    priority INTEGER NOT NULL,
    name text NOT NULL,
    status text NOT NULL,
    version BIGINT NOT NULL,
    model_id text,
    calibration_dataset_id text,
    evaluation_dataset_id text,
    target text,
    recipe JSONB,
    objective JSONB,
    benchmark JSONB,
    labels JSONB NOT NULL,
    seed BIGINT NOT NULL,
    stage text,
    stages JSONB NOT NULL,
    progress JSONB,
    warnings JSONB NOT NULL,
    result JSONB,
    error JSONB,
    attempt INTEGER NOT NULL,
    max_attempts INTEGER NOT NULL,
    lease_owner text,
    lease_token BIGINT NOT NULL,
    lease_expires_at timestamptz,
    heartbeat_at timestamptz,
    cancel_requested_at timestamptz,
    run_after timestamptz DEFAULT clock_timestamp() NOT NULL,
    started_at timestamptz,
    finished_at timestamptz,
    created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_jobs PRIMARY KEY (id),
    CONSTRAINT ck_jobs_status CHECK (
        status IN ('queued', 'running', 'cancelling', 'succeeded', 'failed', 'cancelled')
    ),
    -- whoever works on a job holds its lease, and nobody else does
    CONSTRAINT ck_jobs_leased CHECK (
        (status IN ('running', 'cancelling')) = (lease_owner IS NOT NULL)
        AND (lease_owner IS NULL) = (lease_expires_at IS NULL)
    ),
    CONSTRAINT uq_jobs_tenant_id_id UNIQUE (tenant_id, id),
    CONSTRAINT fk_jobs_tenant_id_model_id_models FOREIGN KEY (tenant_id, model_id) REFERENCES models (tenant_id, id),
    CONSTRAINT fk_jobs_tenant_id_calibration_dataset_id_datasets
        FOREIGN KEY (tenant_id, calibration_dataset_id) REFERENCES datasets (tenant_id, id),
    CONSTRAINT fk_jobs_tenant_id_evaluation_dataset_id_datasets
        FOREIGN KEY (tenant_id, evaluation_dataset_id) REFERENCES datasets (tenant_id, id),
    CONSTRAINT fk_jobs_tenant_id_tenants FOREIGN KEY (tenant_id) REFERENCES tenants (id)
);

CREATE INDEX ix_jobs_model_id ON jobs (model_id);

CREATE INDEX ix_jobs_calibration_dataset_id ON jobs (calibration_dataset_id);

CREATE INDEX ix_jobs_evaluation_dataset_id ON jobs (evaluation_dataset_id);

CREATE INDEX ix_jobs_waiting ON jobs (queue, priority DESC, id) WHERE status = 'queued';

CREATE INDEX ix_jobs_leased ON jobs (lease_expires_at) WHERE status IN ('running', 'cancelling');

CREATE INDEX ix_jobs_tenant_kind ON jobs (tenant_id, kind, id);

CREATE TABLE variants (
    id text NOT NULL,
    tenant_id text NOT NULL,
    job_id text NOT NULL,
    key text NOT NULL,
    role text NOT NULL,
    label text NOT NULL,
    calibration_method text,
    percentile DOUBLE PRECISION,
    metrics JSONB NOT NULL,
    admissible BOOLEAN NOT NULL,
    best BOOLEAN NOT NULL,
    created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_variants PRIMARY KEY (id),
    CONSTRAINT uq_variants_tenant_id_id UNIQUE (tenant_id, id),
    CONSTRAINT uq_variants_job_id_key UNIQUE (job_id, key),
    CONSTRAINT fk_variants_tenant_id_job_id_jobs
        FOREIGN KEY (tenant_id, job_id) REFERENCES jobs (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT fk_variants_tenant_id_tenants FOREIGN KEY (tenant_id) REFERENCES tenants (id)
);

CREATE TABLE artifacts (
    id text NOT NULL,
    tenant_id text NOT NULL,
    job_id text NOT NULL,
    variant_id text,
    kind text NOT NULL,
    filename text NOT NULL,
    media_type text NOT NULL,
    bytes BIGINT NOT NULL,
    sha256 text NOT NULL,
    created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_artifacts PRIMARY KEY (id),
    CONSTRAINT uq_artifacts_tenant_id_id UNIQUE (tenant_id, id),
    CONSTRAINT fk_artifacts_tenant_id_job_id_jobs
        FOREIGN KEY (tenant_id, job_id) REFERENCES jobs (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT fk_artifacts_tenant_id_variant_id_variants
        FOREIGN KEY (tenant_id, variant_id) REFERENCES variants (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT fk_artifacts_tenant_id_tenants FOREIGN KEY (tenant_id) REFERENCES tenants (id)
);

CREATE INDEX ix_artifacts_job ON artifacts (job_id);

CREATE INDEX ix_artifacts_variant_id ON artifacts (variant_id);
"""


def upgrade() -> None:
    op.execute(SCHEMA)
    op.execute("INSERT INTO tenants (id, name) VALUES ('tnt_00000000000000000000000000000000', 'default')")


def downgrade() -> None:
    op.execute("DROP TABLE artifacts, variants, jobs, models, datasets, files, api_keys, tenants")

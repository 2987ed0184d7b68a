"""The files that the inspection makes of a model, and how rows of a data set become a model's inputs."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TABLE = """
CREATE TABLE model_files (
    tenant_id text NOT NULL,
    model_id text NOT NULL,
    name text NOT NULL,
    bytes BIGINT NOT NULL,
    sha256 text NOT NULL,
    CONSTRAINT pk_model_files PRIMARY KEY (tenant_id, model_id, name),
    CONSTRAINT fk_model_files_tenant_id_model_id_models
        FOREIGN KEY (tenant_id, model_id) REFERENCES models (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT fk_model_files_tenant_id_tenants FOREIGN KEY (tenant_id) REFERENCES tenants (id)
);

CREATE INDEX ix_model_files_tenant_sha256 ON model_files (tenant_id, sha256);
"""

# as for the other tables of tenants: see 0003
POLICY = """
ALTER TABLE model_files ENABLE ROW LEVEL SECURITY;
ALTER TABLE model_files FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON model_files USING (
    tenant_id = (SELECT current_setting('app.tenant_id', true))
    OR (SELECT current_setting('app.tenant_id', true)) = '*'
);
"""


def upgrade() -> None:
    # models that are ready now get no rows: jobs go on reading their uploads, which are ONNX files
    op.execute(TABLE)
    op.execute(POLICY)
    op.execute("ALTER TABLE datasets ADD COLUMN preparation JSONB")


def downgrade() -> None:
    op.execute("DROP TABLE model_files")
    op.execute("ALTER TABLE datasets DROP COLUMN preparation")

"""Each candidate is a step of its own: a part, found by the family of those that one recipe asks for."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE job_steps ADD COLUMN family TEXT, ADD COLUMN part TEXT")
    # the results from before are of other code, and have no parts: nothing of them would be found by its family
    op.execute("CREATE INDEX ix_job_steps_tenant_family ON job_steps (tenant_id, family) WHERE family IS NOT NULL")


def downgrade() -> None:
    op.execute("DROP INDEX ix_job_steps_tenant_family")
    op.execute("DELETE FROM job_steps WHERE family IS NOT NULL")
    op.execute("ALTER TABLE job_steps DROP COLUMN family, DROP COLUMN part")

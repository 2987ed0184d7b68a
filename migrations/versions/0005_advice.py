"""What a job's owner was to know when it was made, kept with the job."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # with a default that is a constant the table is not written anew
    op.execute("ALTER TABLE jobs ADD COLUMN advice JSONB NOT NULL DEFAULT '[]'")


def downgrade() -> None:
    op.execute("ALTER TABLE jobs DROP COLUMN advice")

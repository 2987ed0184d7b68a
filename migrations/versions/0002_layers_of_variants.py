"""What became of each layer, with its figures, beside every variant."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # the default serves workers of the previous version, which go on until they are replaced
    op.execute("ALTER TABLE variants ADD COLUMN layers JSONB DEFAULT '[]' NOT NULL")


def downgrade() -> None:
    op.execute("ALTER TABLE variants DROP COLUMN layers")

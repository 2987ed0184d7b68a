"""Records every committed change of a job from inside the database: what no poll of the API could see."""

from dataclasses import dataclass
from typing import Any

import psycopg

INSTALL = """
CREATE SCHEMA faults;

CREATE TABLE faults.changes (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    relation text NOT NULL,
    row_id text NOT NULL,
    job_id text NOT NULL,
    before text,
    after text,
    attempt integer,
    token bigint,
    stage text,
    fraction double precision,
    has_result boolean
);

CREATE FUNCTION faults.note_job() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = faults AS $$
BEGIN
    INSERT INTO faults.changes
        (relation, row_id, job_id, before, after, attempt, token, stage, fraction, has_result)
    VALUES ('jobs', NEW.id, NEW.id, CASE WHEN TG_OP = 'UPDATE' THEN OLD.status END, NEW.status, NEW.attempt,
            NEW.lease_token, NEW.stage, (NEW.progress->>'fraction')::double precision, NEW.result IS NOT NULL);
    RETURN NULL;
END $$;

CREATE FUNCTION faults.note_part() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = faults AS $$
BEGIN
    INSERT INTO faults.changes (relation, row_id, job_id) VALUES (TG_TABLE_NAME, NEW.id, NEW.job_id);
    RETURN NULL;
END $$;

CREATE TRIGGER note_job AFTER INSERT OR UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION faults.note_job();
CREATE TRIGGER note_part AFTER INSERT ON artifacts FOR EACH ROW EXECUTE FUNCTION faults.note_part();
CREATE TRIGGER note_part AFTER INSERT ON variants FOR EACH ROW EXECUTE FUNCTION faults.note_part();
"""


@dataclass(frozen=True)
class Change:
    """One committed change. Those of one job are in order: its row's lock is held until the commit."""

    relation: str
    row_id: str
    job_id: str
    transaction: str
    before: str | None = None
    after: str | None = None
    attempt: int = 0
    token: int = 0
    stage: str | None = None
    fraction: float | None = None
    has_result: bool = False


def install(connection: "psycopg.Connection[dict[str, Any]]") -> None:
    connection.execute(INSTALL)  # type: ignore[arg-type]


def changes(connection: "psycopg.Connection[dict[str, Any]]") -> tuple[Change, ...]:
    rows = connection.execute("SELECT * FROM faults.changes ORDER BY seq").fetchall()
    return tuple(
        Change(
            relation=row["relation"],
            row_id=row["row_id"],
            job_id=row["job_id"],
            transaction=str(row["xid"]),
            before=row["before"],
            after=row["after"],
            attempt=row["attempt"] or 0,
            token=row["token"] or 0,
            stage=row["stage"],
            fraction=row["fraction"],
            has_result=bool(row["has_result"]),
        )
        for row in rows
    )

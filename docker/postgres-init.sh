#!/bin/sh
# Runs once, when the database is first made: the role that the service connects with. It owns nothing and cannot bypass
# row-level security; the migrations give it its rights. psql reads the password from the environment, so that it appears
# in no process list. No `set -u`: the image sources this file where it is not executable.
set -e

: "${POSTGRES_APP_PASSWORD:?set POSTGRES_APP_PASSWORD}"

psql --set ON_ERROR_STOP=1 --no-psqlrc --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
\getenv password POSTGRES_APP_PASSWORD
CREATE ROLE lowbit_app LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'password';
REVOKE ALL ON DATABASE :"DBNAME" FROM PUBLIC;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT CONNECT ON DATABASE :"DBNAME" TO lowbit_app;
SQL

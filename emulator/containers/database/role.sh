#!/bin/bash
# Runs once, when the database is made: a role for Baton that is no superuser, with the password handed to this container.
# The server listens on its own socket alone while it runs.
set -euo pipefail
password=$(</run/baton/database-password)
psql --no-psqlrc -v ON_ERROR_STOP=1 --username postgres --dbname postgres --set "password=$password" <<'SQL'
CREATE ROLE baton LOGIN PASSWORD :'password';
CREATE DATABASE baton OWNER baton;
SQL

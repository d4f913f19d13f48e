"""Runs migrations on the connection that the service hands over, or, from the command line, on the url in alembic.ini."""

import sqlalchemy as sa
from alembic import context

from ghostfleet.store.tables import metadata


def run(connection: sa.Connection) -> None:
    context.configure(connection=connection, target_metadata=metadata, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    url = context.config.get_main_option("sqlalchemy.url")
    assert url is not None
    with sa.create_engine(url).connect() as opened:
        run(opened)

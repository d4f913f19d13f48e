"""Where Alembic gets its connection: from ghostfleet/store/schema.py, or by hand from `-x url=...`."""

from alembic import context
from sqlalchemy import create_engine

from ghostfleet.store.tables import metadata


def _migrate(connection: object) -> None:
    context.configure(connection=connection, target_metadata=metadata)
    context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    _migrate(given)
else:
    with create_engine(context.get_x_argument(as_dictionary=True)["url"]).begin() as opened:
        _migrate(opened)

"""The promises of the log, kept on SQLite, on PostgreSQL and in the simulator's memory."""

import pytest
from log_contract import LogContract, OpenAgain, opening

from ghostfleet.store.log import EventLog, open_log
from tests.simulation.memory_recorder import MemoryDisk, MemoryRecorder


class TestSqlite(LogContract):
    @pytest.fixture
    def again(self, sqlite_url: str) -> OpenAgain:
        return opening(lambda: open_log(sqlite_url))


@pytest.mark.postgres
class TestPostgres(LogContract):
    @pytest.fixture
    def again(self, postgres_url: str) -> OpenAgain:
        return opening(lambda: open_log(postgres_url))


class TestMemory(LogContract):
    @pytest.fixture
    def again(self) -> OpenAgain:
        disk = MemoryDisk()
        return opening(lambda: EventLog.over(MemoryRecorder(disk)))

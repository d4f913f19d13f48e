"""What does the outside get to see of what was recorded? Metrics and log lines, both derived here from events, in one place.

Nothing is measured or logged that the log does not already hold: what a metric says has happened, has happened.
"""

from ghostfleet.telemetry.logs import configure_logging
from ghostfleet.telemetry.metrics import Metrics
from ghostfleet.telemetry.observer import Telemetry

__all__ = ["Metrics", "Telemetry", "configure_logging"]

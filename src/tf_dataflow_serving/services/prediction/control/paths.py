"""Where the control endpoint is, for those who serve it and those who ask it."""

FAULTS = "/control/v1/faults"
RESTART = "/control/v1/restart"

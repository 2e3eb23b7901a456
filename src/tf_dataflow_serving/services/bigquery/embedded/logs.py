"""What bqemulator writes to the log."""

import logging

import structlog


def quiet_logs() -> None:
    """Log warnings and errors only, by the standard library's logging.

    bqemulator writes several lines for every request, and some to standard output while it is
    imported: call this before. httpx writes one for every request that the gateway passes on.
    """
    logging.getLogger("httpx").setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["event"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )

-- How long a stream took, and how long its messages did: publish to predict, in seconds.
SELECT
  COUNT(*) AS row_count,
  COUNT(DISTINCT source_id) AS distinct_row_count,
  TIMESTAMP_DIFF(MAX(predict_timestamp), MIN(source_timestamp), MICROSECOND) / 1e6
    AS total_seconds,
  MIN(latency) / 1e6 AS min_latency_seconds,
  AVG(latency) / 1e6 AS avg_latency_seconds,
  MAX(latency) / 1e6 AS max_latency_seconds,
  APPROX_QUANTILES(latency, 1000)[OFFSET(500)] / 1e6 AS p50_latency_seconds,
  APPROX_QUANTILES(latency, 1000)[OFFSET(990)] / 1e6 AS p99_latency_seconds
FROM (
  SELECT
    source_id,
    source_timestamp,
    predict_timestamp,
    TIMESTAMP_DIFF(predict_timestamp, source_timestamp, MICROSECOND) AS latency
  FROM
    `$table`
)

-- Prints what wrk measured as one line of JSON, the last.
function done(summary, latency)
  local errors = summary.errors
  print(string.format('{"rps": %.1f, "p99_ms": %.3f, "errors": %d}',
    summary.requests / summary.duration * 1e6, latency:percentile(99) / 1000,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end

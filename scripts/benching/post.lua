-- Sends the body in the file args[1] over and over and prints what was measured as one line of JSON, times in microseconds.
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"

function init(args)
   local file = assert(io.open(args[1], "rb"))
   wrk.body = file:read("*a")
   file:close()
end

function done(summary, latency)
   local errors = summary.errors
   io.write(string.format(
      '\n{"requests": %d, "bytes": %d, "duration": %d, "p99": %d, "errors": %d}\n',
      summary.requests, summary.bytes, summary.duration, latency:percentile(99),
      errors.connect + errors.read + errors.write + errors.status + errors.timeout
   ))
end

-- Sends the requests in the file args[1], which are separated by a line of its own, one after another.
local requests, next = {}, 0

function init(args)
   local file = assert(io.open(args[1], "rb"))
   local text = file:read("*a")
   file:close()
   local start = 1
   while true do
      local stop = text:find("\n====\n", start, true)
      if not stop then break end
      requests[#requests + 1] = text:sub(start, stop - 1)
      start = stop + 6
   end
end

function request()
   next = next % #requests + 1
   return requests[next]
end

function done(summary, latency)
   local errors = summary.errors
   io.write(string.format(
      '\n{"requests": %d, "bytes": %d, "duration": %d, "p99": %d, "errors": %d}\n',
      summary.requests, summary.bytes, summary.duration, latency:percentile(99),
      errors.connect + errors.read + errors.write + errors.status + errors.timeout
   ))
end

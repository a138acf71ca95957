-- What wrk sends. The call comes from files that benches/rivals writes:
--   CALL_HEADERS  lines of "Name: value"      CALL_BODY  the form, byte for byte
--   CALL_PAIRS    lines of "client target": the calls then go round among these (if set)
--   CALL_PAUSE    mean pause of a connection between two calls, in ms (if set); before the first
--                 call of CALL_CONNECTIONS it is longer by CALL_FIRST_AFTER, so that all stand
local path = "/consent-flow/v2/oauth/token"
local body = io.open(os.getenv("CALL_BODY"), "rb"):read("*a")
local headers = {}
for line in io.lines(os.getenv("CALL_HEADERS")) do
    local name, value = line:match("^([^:]+): (.*)$")
    headers[name] = value
end
wrk.method, wrk.path, wrk.body = "POST", path, body
for name, value in pairs(headers) do wrk.headers[name] = value end

local pairs_file = os.getenv("CALL_PAIRS")
if pairs_file then
    local ready, at = {}, 0
    function init()
        for line in io.lines(pairs_file) do
            local client, target = line:match("^(%S+) (%S+)$")
            local own = {}
            for name, value in pairs(headers) do own[name] = value end
            own["X-CorAPI-Client-ID"], own["X-CorAPI-Target-ID"] = client, target
            local form = body:gsub("client_id=[^&]*", "client_id=" .. client)
            ready[#ready + 1] = wrk.format("POST", path, own, form)
        end
    end
    -- Everything is ready before the first call, so that wrk does little beside sending.
    function request()
        at = at % #ready + 1
        return ready[at]
    end
end

local pause = tonumber(os.getenv("CALL_PAUSE") or "")
if pause then
    local first = tonumber(os.getenv("CALL_FIRST_AFTER"))
    local connections = tonumber(os.getenv("CALL_CONNECTIONS"))
    function delay()
        connections = connections - 1
        return math.random(0, 2 * pause) + (connections >= 0 and first or 0)
    end
end

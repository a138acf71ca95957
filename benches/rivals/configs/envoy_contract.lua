-- The bLink token contract for Envoy: what its own filters have no words for. The tables before
-- this come from benches/rivals; the local rate limit filter stands before this one.
local find, lower = string.find, string.lower
local random, format = math.random, string.format
math.randomseed(os.time())

local PASSES = {
    [":method"] = true, [":path"] = true, [":authority"] = true, [":scheme"] = true,
    ["content-length"] = true, ["content-type"] = true, ["user-agent"] = true,
    ["x-psu-ip-address"] = true, ["x-psu-user-agent"] = true, ["x-corapi-client-id"] = true,
    ["x-corapi-target-id"] = true, ["x-correlation-id"] = true,
    -- Envoy's own, without which it finds no route; the route takes it away.
    ["x-forwarded-proto"] = true,
}

local function uuid()
    return format("%04x%04x-%04x-4%03x-a%03x-%04x%04x%04x", random(0, 65535), random(0, 65535),
        random(0, 65535), random(0, 4095), random(0, 4095), random(0, 65535), random(0, 65535),
        random(0, 65535))
end

-- The hub's marks are put on it by local_reply_config, the correlation id from the request.
local function refuse(handle, status, code, sentence, name, value)
    local head = { [":status"] = tostring(status), ["content-type"] = "application/json" }
    if name then head[name] = value end
    handle:respond(head, '{"error":"' .. code .. '","error_description":"' .. sentence .. '"}')
end

local function one(value, least, most)
    return value and #value >= least and #value <= most
end

local function identifier(value)
    return one(value, 1, 30) and not find(value, "[^%w._-]")
end

local function address(value)
    if value == "AUTO" or find(value, "^[%x:]*:[%x:.]*$") then return true end
    local a, b, c, d = string.match(value, "^(%d+)%.(%d+)%.(%d+)%.(%d+)$")
    return a and a + 0 < 256 and b + 0 < 256 and c + 0 < 256 and d + 0 < 256
end

local function decoded(text)
    if find(text, "[%%+]") then
        text = text:gsub("+", " ")
        text = text:gsub("%%(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end)
    end
    return text
end

-- The form's parameters, or nothing if one stands twice.
local function parse(body)
    local form = {}
    for name, value in body:gmatch("([^&=]+)=?([^&]*)") do
        name = decoded(name)
        if form[name] then return nil end
        form[name] = decoded(value)
    end
    return form
end

local function head_fault(handle, head, cid)
    if head:get(":path") ~= "/consent-flow/v2/oauth/token" then
        if find(head:get(":path"), "/consent-flow/v2/oauth/token?", 1, true) == 1 then
            return 400, "invalid_request", "query string not allowed"
        end
        return 404, "invalid_request", "unknown endpoint"
    elseif head:get(":method") ~= "POST" then
        return 405, "invalid_request", "method not allowed", "allow", "POST"
    elseif not head:get("content-length") and handle:streamInfo():protocol() ~= "HTTP/2" then
        return 411, "invalid_request", "Content-Length is required"
    elseif not cid then
        return 400, "invalid_request",
            "X-Correlation-ID must be one value of 1 to 64 visible ASCII characters"
    end
    local client, target = head:get("x-corapi-client-id"), head:get("x-corapi-target-id")
    if not identifier(client) then
        return 400, "invalid_request", "X-CorAPI-Client-ID is required"
    end
    local tls = handle:streamInfo():downstreamSslConnection()
    local certified = tls and tls:peerCertificatePresented() and tls:sha256PeerCertificateDigest()
    if not CLIENTS[client] or (certified and FINGERPRINTS[certified] ~= client) then
        return 401, "invalid_client", "client authentication failed",
            "www-authenticate", "tls_client_auth"
    elseif not one(head:get("user-agent"), 1, 512) then
        return 400, "invalid_request", "User-Agent header is required"
    end
    local psu = head:get("x-psu-ip-address")
    if psu and not address(psu) then
        return 400, "invalid_request", "X-PSU-IP-Address is malformed"
    elseif not identifier(target) then
        return 400, "invalid_request", "X-CorAPI-Target-ID is malformed"
    elseif not TARGETS[target] then
        return 400, "invalid_request", "unknown X-CorAPI-Target-ID"
    elseif not PERMITS[client .. "/" .. target] then
        return 403, "unauthorized_client", "client is not permitted for this target"
    elseif head:get("authorization") then
        return 401, "invalid_client",
            "client authentication by Authorization header is not supported",
            "www-authenticate", "Basic"
    end
    local accept, kind = head:get("accept"), head:get("content-type")
    if accept and not (find(accept, "application/json", 1, true) or find(accept, "*/*", 1, true)
        or find(accept, "application/*", 1, true)) then
        return 406, "invalid_request", "response is only available as application/json"
    elseif not kind or not find(lower(kind), "^application/x%-www%-form%-urlencoded%s*;?") then
        return 415, "invalid_request", "Content-Type must be application/x-www-form-urlencoded"
    elseif head:get("content-encoding") then
        return 415, "invalid_request", "content coding not supported"
    elseif (tonumber(head:get("content-length")) or 0) > 65536 then
        return 413, "invalid_request", "request body too large"
    end
end

local function form_fault(form, client)
    if not form then return 400, "invalid_request", "parameter repeated" end
    local grant = form.grant_type
    if not one(grant, 1, 64) then
        return 400, "invalid_request", "grant_type is required"
    elseif grant == "authorization_code" then
        if not one(form.code, 1, 4096) or find(form.code, "[^ -~]") then
            return 400, "invalid_request", "code is required"
        end
    elseif grant == "refresh_token" then
        if not one(form.refresh_token, 1, 16384) or find(form.refresh_token, "[^ -~]") then
            return 400, "invalid_request", "refresh_token is required"
        end
    else
        return 400, "unsupported_grant_type",
            "grant_type must be authorization_code or refresh_token"
    end
    local username = form.username
    if form.redirect_uri and not one(form.redirect_uri, 1, 2048) then
        return 400, "invalid_request", "redirect_uri must be at most 2048 characters"
    elseif not identifier(form.client_id) then
        return 400, "invalid_request", "client_id is required"
    elseif form.client_id ~= client then
        return 401, "invalid_client", "client authentication failed",
            "www-authenticate", "tls_client_auth"
    elseif not one(username, 1, 256) or find(username, "%c")
        or select(2, username:gsub("[^\128-\191]", "")) > 64 then
        return 400, "invalid_request", "username is required"
    end
end

function envoy_on_request(handle)
    local head = handle:headers()
    local cid = head:get("x-correlation-id")
    if not one(cid, 1, 64) or find(cid, "[^!-~]") or head:getNumValues("x-correlation-id") ~= 1 then
        cid = nil
        head:replace("x-correlation-id", uuid())
    end
    local status, code, sentence, name, value = head_fault(handle, head, cid)
    if status then return refuse(handle, status, code, sentence, name, value) end
    local client = head:get("x-corapi-client-id")
    local body = handle:body()
    local text = body and body:length() > 0 and body:getBytes(0, body:length()) or ""
    status, code, sentence, name, value = form_fault(parse(text), client)
    if status then return refuse(handle, status, code, sentence, name, value) end
    -- What was found before the wait for the body may not be used after it.
    head = handle:headers()
    local stays = {}
    for field in pairs(head) do
        if not PASSES[field] then stays[#stays + 1] = field end
    end
    for at = 1, #stays do head:remove(stays[at]) end
    head:replace("accept", "application/json")
    head:replace("accept-encoding", "identity")
end

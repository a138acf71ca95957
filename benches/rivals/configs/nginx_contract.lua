-- The bLink token contract for nginx: what its own modules have no words for. Called in the access
-- phase, after limit_req. The tables come from benches/rivals.
local tables = require "contract_tables"
local balancer = require "ngx.balancer"
-- PCRE, compiled once to machine code; string.find would leave LuaJIT's own for the interpreter.
local function find(text, pattern)
    return ngx.re.find(text, pattern, "jo")
end
local lower = string.lower
local contract = {}

local function refuse(status, code, sentence, name, value)
    if name then ngx.header[name] = value end
    ngx.status = status
    ngx.header.content_type = "application/json"
    ngx.print('{"error":"', code, '","error_description":"', sentence, '"}')
    return ngx.exit(status)
end

-- One value of this length, or nothing: a table is a field that stands twice.
local function one(value, least, most)
    return type(value) == "string" and #value >= least and #value <= most
end

local function identifier(value)
    return one(value, 1, 30) and not find(value, "[^A-Za-z0-9._-]")
end

local function address(value)
    if value == "AUTO" or find(value, [[^[0-9a-fA-F:]*:[0-9a-fA-F:.]*$]]) then return true end
    local byte = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
    return find(value, "^(?:" .. byte .. [[\.){3}]] .. byte .. "$")
end

local function form_rules(form, client)
    for _, value in pairs(form) do
        if type(value) == "table" then
            return refuse(400, "invalid_request", "parameter repeated")
        end
    end
    local grant = form.grant_type
    if not one(grant, 1, 64) then
        return refuse(400, "invalid_request", "grant_type is required")
    elseif grant == "authorization_code" then
        if not one(form.code, 1, 4096) or find(form.code, "[^ -~]") then
            return refuse(400, "invalid_request", "code is required")
        end
    elseif grant == "refresh_token" then
        if not one(form.refresh_token, 1, 16384) or find(form.refresh_token, "[^ -~]") then
            return refuse(400, "invalid_request", "refresh_token is required")
        end
    else
        return refuse(400, "unsupported_grant_type",
            "grant_type must be authorization_code or refresh_token")
    end
    if form.redirect_uri and not one(form.redirect_uri, 1, 2048) then
        return refuse(400, "invalid_request", "redirect_uri must be at most 2048 characters")
    elseif not identifier(form.client_id) then
        return refuse(400, "invalid_request", "client_id is required")
    elseif form.client_id ~= client then
        return refuse(401, "invalid_client", "client authentication failed",
            "WWW-Authenticate", "tls_client_auth")
    elseif not one(form.username, 1, 256)
        or not find(form.username, [[^(?:[^\x00-\x1f\x7f-\xbf][\x80-\xbf]*){1,64}$]]) then
        return refuse(400, "invalid_request", "username is required")
    end
end

local function media_rules(head)
    if head.authorization then
        return refuse(401, "invalid_client",
            "client authentication by Authorization header is not supported",
            "WWW-Authenticate", "Basic")
    end
    local accept, kind = head.accept, head["content-type"]
    local json = [[application/json|application/\*|\*/\*]]
    if type(accept) == "string" and not find(lower(accept), json) then
        return refuse(406, "invalid_request", "response is only available as application/json")
    elseif type(kind) ~= "string"
        or not find(lower(kind), "^application/x-www-form-urlencoded *(;|$)") then
        return refuse(415, "invalid_request",
            "Content-Type must be application/x-www-form-urlencoded")
    elseif head["content-encoding"] then
        return refuse(415, "invalid_request", "content coding not supported")
    end
end

-- The bank of a call where there are too many for upstream blocks.
function contract.balance()
    balancer.set_current_peer("127.0.0.1", tables.ports[ngx.var.http_x_corapi_target_id])
end

function contract.check()
    local var = ngx.var
    if ngx.req.get_method() ~= "POST" then
        return refuse(405, "invalid_request", "method not allowed", "Allow", "POST")
    end
    local head = ngx.req.get_headers(64)
    local cid, client = head["x-correlation-id"], head["x-corapi-client-id"]
    local target, certified = head["x-corapi-target-id"], nil
    if head["transfer-encoding"] then
        return refuse(411, "invalid_request", "Content-Length is required")
    elseif not one(cid, 1, 64) or find(cid, "[^!-~]") then
        -- What is reflected is read from here, and may not be the bad value.
        ngx.req.set_header("X-Correlation-ID", var.request_id)
        return refuse(400, "invalid_request",
            "X-Correlation-ID must be one value of 1 to 64 visible ASCII characters")
    elseif find(var.request_uri, [[\?]]) then
        return refuse(400, "invalid_request", "query string not allowed")
    elseif not identifier(client) then
        return refuse(400, "invalid_request", "X-CorAPI-Client-ID is required")
    end
    if var.ssl_client_verify == "SUCCESS" then certified = var.certified end
    if not tables.clients[client] or (certified and certified ~= client) then
        return refuse(401, "invalid_client", "client authentication failed",
            "WWW-Authenticate", "tls_client_auth")
    elseif not one(head["user-agent"], 1, 512) then
        return refuse(400, "invalid_request", "User-Agent header is required")
    end
    local psu = head["x-psu-ip-address"]
    if psu and (type(psu) == "table" or not address(psu)) then
        return refuse(400, "invalid_request", "X-PSU-IP-Address is malformed")
    elseif not identifier(target) then
        return refuse(400, "invalid_request", "X-CorAPI-Target-ID is malformed")
    elseif var.bank == "" then
        return refuse(400, "invalid_request", "unknown X-CorAPI-Target-ID")
    elseif not tables.permits[client .. "/" .. target] then
        return refuse(403, "unauthorized_client", "client is not permitted for this target")
    end
    media_rules(head)
    ngx.req.read_body()
    form_rules(ngx.req.get_post_args(64), client)
    var.source = "PROVIDER"
end

return contract

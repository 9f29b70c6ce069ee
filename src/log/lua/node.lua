-- The nodes of the deployment: `<prefix>:nodes`, id -> what a node says of itself.
--
-- Arguments: what to do, id, incarnation, lifetime of the lease in ms, connections,
-- draining ('1').
--   take   {'OK', incarnation}, or {'HELD', ms left, incarnation} while another start of
--          this name is alive
--   beat   {'OK'}, or {'TAKEN'} when a later start of this name is alive
--   leave  {'OK'}: the lease ends now
local what, id, mine, lease = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local DAY_MS = 86400000

local function read(text)
    local is_fine, node = pcall(cjson.decode, text or '')
    if is_fine and type(node) == 'table' and tonumber(node.incarnation)
        and tonumber(node.lease_expires_at) then
        return node
    end
end

local known = read(redis.call('HGET', KEYS[1], id))
local is_alive = known and known.lease_expires_at > now

local function write(incarnation, expires_at)
    local text = string.format('{"incarnation":%.0f,"lease_expires_at":%.0f,"connections":%.0f,"draining":%s}',
        incarnation, expires_at, tonumber(ARGV[5]), ARGV[6] == '1' and 'true' or 'false')
    redis.call('HSET', KEYS[1], id, text)
end

if what == 'take' then
    if is_alive then
        return { 'HELD', string.format('%.0f', known.lease_expires_at - now),
            string.format('%.0f', known.incarnation) }
    end
    -- Above all earlier ones, also when one of those has woken and written its own again.
    mine = math.max(known and known.incarnation + 1 or 0, math.floor(now / 1000))
    write(mine, now + lease)
    -- Names that nobody uses any more.
    local all = redis.call('HGETALL', KEYS[1])
    for index = 1, #all, 2 do
        local node = read(all[index + 1])
        if not node or node.lease_expires_at < now - DAY_MS then
            redis.call('HDEL', KEYS[1], all[index])
        end
    end
    return { 'OK', string.format('%.0f', mine) }
end
if is_alive and known.incarnation > mine then return { 'TAKEN' } end
if what == 'leave' then
    write(mine, now)
else
    write(mine, now + lease)
end
return { 'OK' }

-- What time did to users, and nodes that are dead. Own arguments: how many users are
-- looked at, at most; the lifetime of leases in ms.
--
-- Answers {'OK', gid, next due, changes, '1' when there is more to do}.
local m = check()
local refused = refusal(m)
if refused then return refused end
local limit, lease = ARGV[OWN], tonumber(ARGV[OWN + 1])
-- Nobody says goodbye so late after giving up the lease.
local LATE_MS = 2000
local time = now_ms()
local pn = base .. 'pn'
local dead

-- After a time in which nobody swept, Redis was away or nobody was there: the nodes get
-- the time to come back before anybody is judged.
local function is_quiet()
    local last, hold = string.match(call('HGET', pn, '') or '', '^(%d+):(%d+)$')
    last, hold = tonumber(last or time), tonumber(hold or 0)
    if time - last > lease * 0.7 then hold = time + lease / 2 end
    if time - last >= 500 or last == time then
        call('HSET', pn, '', int(time) .. ':' .. int(hold))
    end
    return time < hold
end

local function is_dead(node, state)
    local goodbye = tonumber(string.match(state, '^!(%d+)$'))
    if goodbye then return goodbye <= time end
    local until_ms = call('ZSCORE', base .. 'n', node)
    until_ms = until_ms and tonumber(until_ms) or (tonumber(state) or 0) + lease
    return until_ms + LATE_MS < time
end

-- Users of a dead node, without it. True when there are more.
local function bury(node, cursor)
    local key = base .. 'ps:' .. node
    local found = call('HSCAN', key, cursor, 'COUNT', limit)
    local users, known, lists = {}, {}, {}
    for index = 1, #found[2], 2 do
        local user = found[2][index]
        if user ~= '' and not known[user] then
            users[#users + 1] = user
            known[user] = true
            add(lists, user)
        end
    end
    local changes = settle(m, users, {}, {}, {})
    each_list('HDEL', key, lists)
    if found[1] == '0' then
        call('UNLINK', key)
        call('HDEL', pn, node)
    else
        call('HSET', pn, node, 'x' .. found[1])
    end
    return changes
end

if is_quiet() then return { 'OK', m.gid, next_due(), 0, '0' } end
local due = call('ZRANGEBYSCORE', base .. 'due', '-inf', digits(now), 'LIMIT', 0, limit)
local changes = settle(m, due, {}, {}, {})
local has_more = #due == tonumber(limit)
local states = call('HGETALL', pn)
for index = 1, #states, 2 do
    local node, state = states[index], states[index + 1]
    if node ~= '' then
        if is_counted(node, state) and is_dead(node, state) then
            state = 'x0'
            call('HSET', pn, node, state)
        end
        local cursor = string.match(state, '^x(%d+)$')
        if cursor and not dead then dead = { node, cursor } elseif cursor then has_more = true end
    end
end
if dead then
    changes = changes + bury(dead[1], dead[2])
    has_more = has_more or call('HEXISTS', pn, dead[1]) == 1
end
return { 'OK', m.gid, next_due(), changes, has_more and '1' or '0' }

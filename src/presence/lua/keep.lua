-- What this node wrote: whether it is still there, without what an earlier epoch left, and
-- its end. Own arguments: this writing's epoch; 'look', 'clean' or 'leave'; a cursor for
-- 'clean'.
--
-- Answers {'OK', gid, next due, changes, next cursor}, or {'ANEW', gid} as write.lua does.
local m = check()
local refused = refusal(m)
if refused then return refused end
local epoch, verb, cursor = ARGV[OWN], ARGV[OWN + 1], ARGV[OWN + 2]
local pn, key = base .. 'pn', base .. 'ps:' .. me
local state = call('HGET', pn, me)
if not state or not is_counted(me, state) or call('HGET', key, '') ~= m.gid .. ' ' .. epoch then
    return { 'ANEW', m.gid }
end
local changes = 0
if verb == 'clean' then
    local found = call('HSCAN', key, cursor, 'COUNT', 256)
    cursor = found[1]
    local users, mine = {}, {}
    for index = 1, #found[2], 2 do
        local user, record = found[2][index], found[2][index + 1]
        if user ~= '' and not mine[user] and string.match(record, '^%d+:%a+:%d+:(%w+)') ~= epoch then
            users[#users + 1] = user
            mine[user] = ''
        end
    end
    changes = settle(m, users, mine, {}, {})
elseif verb == 'leave' then
    -- Devices in their grace count until it ends.
    call('HSET', pn, me, '!' .. digits(now_ms() + offline_after + 1000))
end
return { 'OK', m.gid, next_due(), changes, cursor }

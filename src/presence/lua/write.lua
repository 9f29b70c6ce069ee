-- What happened to users of this node. Own arguments: this writing's epoch, whether it
-- begins, whether it has records, then five for each user: user, record ('=' to leave it,
-- '' for none), newest activity of devices that are gone, choice ('' for no new one), its
-- end.
--
-- Answers {'OK', gid, next due, changes, inherited devices, refused choices, choices};
-- {'ANEW', gid} when what this node wrote is not what Redis holds: it has to write all its
-- users again, in a new epoch.
local m = check()
local stopped = refusal(m)
if stopped then return stopped end
local epoch, begins, has_records = ARGV[OWN], ARGV[OWN + 1] == '1', ARGV[OWN + 2] == '1'
local mark = m.gid .. ' ' .. epoch
if begins then
    call('HSET', base .. 'pn', me, digits(now_ms()))
    call('HSET', base .. 'ps:' .. me, '', mark)
elseif has_records then
    local state = call('HGET', base .. 'pn', me)
    if not state or not is_counted(me, state) or call('HGET', base .. 'ps:' .. me, '') ~= mark then
        return { 'ANEW', m.gid }
    end
end

local users, mine, chosen, past = {}, {}, {}, {}
for index = OWN + 3, #ARGV, 5 do
    local user, record = ARGV[index], ARGV[index + 1]
    users[#users + 1] = user
    if record ~= '=' then mine[user] = record end
    past[user] = tonumber(ARGV[index + 2])
    if ARGV[index + 3] ~= '' then chosen[user] = { ARGV[index + 3], ARGV[index + 4] } end
end
local changes, told, refused, choices = settle(m, users, mine, chosen, past)
return { 'OK', m.gid, next_due(), changes, told, refused, choices }

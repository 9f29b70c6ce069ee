-- Renews a node's lease and tells where the log is. Own arguments: lifetime of the lease
-- in ms ('0' gives it up), how long a lease that ended is remembered, in ms, '1' when a tail
-- begins: what an earlier one of this node had seen is not known any more, unless it showed
-- nothing that the replicas did not have.
--
-- Answers {'OK', gid, offset, tag, state, oldest offset}, and how many replicas follow where
-- those are waited for.
local m = check()
local now = now_ms()
if ARGV[OWN + 2] == '1' and profile ~= 'ha' and call('HGET', base .. 'w:' .. m.gid, me) == '' then
    call('HSET', base .. 'w:' .. m.gid, me, 'd 0 ' .. ZERO)
    if m.st == 'fenced' then settle(m) end
end
local leases = base .. 'n'
call('ZADD', leases, int(now + tonumber(ARGV[OWN])), me)
call('ZREMRANGEBYSCORE', leases, '-inf', '(' .. int(now - tonumber(ARGV[OWN + 1])))
return { 'OK', m.gid, int(m.o), m.t, m.st, int(m.f), m.good }

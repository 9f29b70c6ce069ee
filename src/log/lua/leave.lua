-- Last checkpoints of sessions whose sockets are gone. Own arguments: lifetime in ms, then
-- four for each: connection, seq, cursor, fencing. A holder that is stale changes nothing.
local ttl = ARGV[OWN]
for index = OWN + 1, #ARGV, 4 do
    local cid, seq, cursor, ep = ARGV[index], ARGV[index + 1], ARGV[index + 2], ARGV[index + 3]
    local key = base .. 's:' .. cid
    local known = call('HMGET', key, 'ep', 'n')
    if known[1] == ep and known[2] == me then
        call('HSET', key, 'q', seq, 'c', cursor)
        call('PEXPIRE', key, ttl)
        call('PEXPIRE', base .. 'sw:' .. cid, ttl)
        call('HDEL', base .. 'c:' .. me, cid)
    end
end
return { 'OK' }

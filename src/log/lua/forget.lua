-- Deletes a session. Own arguments: connection, and the number of the claim under which that
-- is decided ('' for whoever holds it): who has claimed it since keeps it.
--
-- Answers {'OK'}.
local cid, ep = ARGV[OWN], ARGV[OWN + 1]
local key = base .. 's:' .. cid
if ep == '' or call('HGET', key, 'ep') == ep then
    call('DEL', key, base .. 'sw:' .. cid)
end
call('HDEL', base .. 'c:' .. me, cid)
return { 'OK' }
